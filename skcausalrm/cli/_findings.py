"""Findings of `diagnose` on a loaded log: for `inspect`, `fit` and `report`."""

from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd
import typer

from ..inspection import Findings, diagnose
from ..inspection._catalogue import CATALOGUE
from ._logs import FeedbackLog
from ._sources import Sources


def findings_of_frame(frame: pd.DataFrame, sources: Sources) -> Findings:
    """Return what can be found of a log before anything is encoded or fitted."""
    from ..datasets._labels import answer_keys

    return diagnose(
        None,
        None,
        frame["feedback"].to_numpy(dtype=float),
        users=sources.users,
        answers=answer_keys(frame),
        **_columns(frame),
    )


def findings_of_fit(model: Any, X: np.ndarray, log: FeedbackLog, n_shortened: int) -> Findings:
    """Return what can be found of a fitted reward and its log."""
    return diagnose(
        model, X, log.y, users=log.users, n_shortened=n_shortened, **_columns(log.frame)
    )


def _columns(frame: pd.DataFrame) -> dict[str, Any]:
    """Return the columns of a log that checks read, those left out that are empty."""
    columns: dict[str, Any] = {"groups": frame["group"].to_numpy()}
    for name in ("verified", "judge_score"):
        if name in frame.columns and frame[name].notna().any():
            columns[name] = frame[name].to_numpy(dtype=float, na_value=np.nan)
    if "judge_score" in columns and np.isnan(columns["judge_score"]).any():
        del columns["judge_score"]  # a warning has said so, or `inspect` compares what there is
    if "asked" in frame.columns and frame["asked"].dtype == bool:
        columns["asked"] = frame["asked"].to_numpy()
    if "timestamp" in frame.columns:
        columns["times"] = frame["timestamp"]
    return columns


def print_findings(findings: Findings, said: Collection[str] = ()) -> None:
    """Print a line for each finding, but for those that codes of the advice have said."""
    for one in findings:
        if not set(CATALOGUE[one.code].same_as) & set(said):
            typer.echo(f"{one.code} {one.title} ({one.severity}): {one.text}")
