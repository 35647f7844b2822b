"""Thumbs and an LLM judge's scores against the verified rows of a log, for `inspect`."""

import math
from collections.abc import Callable
from typing import Any

import pandas as pd
import typer

from ..exceptions import FeedbackError
from ..inspection import judge_report
from ._console import print_table
from ._sources import Sources

_RATES = ("pass_rate", "good_rate", "sensitivity", "specificity")


def compare_judges(frame: pd.DataFrame, sources: Sources) -> dict[str, dict[str, Any]]:
    """Return what `judge_report` says of thumbs and of the column judge_score, as JSON can hold it.

    Empty where no row is verified. A judge that shares too few rows with them has a "reason", and
    "drawn_alike" is False where labels of a top-up are among them, which count like the others.
    """
    if "verified" not in frame.columns or not frame["verified"].notna().any():
        return {}
    found: dict[str, dict[str, Any]] = {}
    for name, column in (("thumbs", "feedback"), ("judge_score", "judge_score")):
        if column not in frame.columns or not frame[column].notna().any():
            continue
        try:
            report = judge_report(
                frame[column].to_numpy(dtype="float64", na_value=float("nan")),
                frame["verified"].to_numpy(dtype="float64", na_value=float("nan")),
                groups=frame["group"].to_numpy() if "group" in frame.columns else None,
                users=sources.users,
            )
        except FeedbackError as error:
            found[name] = {"reason": str(error)}
            continue
        rates = {rate: getattr(report, rate)[:3] for rate in (*_RATES, "corrected_pass_rate")}
        found[name] = {
            "judged": report.pass_rate.n,
            "verified": report.verified_rate.n,
            "drawn_alike": "verified_propensity" not in frame.columns,
            "threshold": report.threshold,
            **{name: _finite(rate) for name, rate in rates.items()},
            "kappa": report.kappa,
            "roc_auc": report.auroc.score,
        }
    return found


def _finite(values: tuple[float, ...]) -> list[float | None]:
    """Return values as JSON can hold them: what a judge near chance does not tell is None."""
    return [value if math.isfinite(value) else None for value in values]


def print_judges(judges: dict[str, dict[str, Any]]) -> None:
    """Print a column for each judge that can be compared, and why another cannot."""
    compared = {name: found for name, found in judges.items() if "reason" not in found}
    if compared:
        lines = [[title, *map(show, compared.values())] for title, show in _LINES]
        print_table("Against verified rows, with 90% intervals", ["", *compared], lines)
        if not all(found["drawn_alike"] for found in compared.values()):
            typer.echo(
                "Some of the verified rows are of a top-up, which draws some kinds of answers more "
                "often: these figures are of the verified rows as drawn, not of the log."
            )
    for name, found in judges.items():
        if "reason" in found:
            typer.echo(f"{name} against verified rows: {found['reason']}")


def _interval(name: str) -> Callable[[dict[str, Any]], str]:
    return lambda found: "{:.3f} [{:.3f}, {:.3f}]".format(*found[name])


_LINES: tuple[tuple[str, Callable[[dict[str, Any]], str]], ...] = (
    ("rows with a score", lambda found: f"{found['judged']:,}"),
    ("of them verified", lambda found: f"{found['verified']:,}"),
    ("pass", _interval("pass_rate")),
    ("good, by judge and verified rows", _interval("good_rate")),
    ("good rows that pass", _interval("sensitivity")),
    ("bad rows that do not", _interval("specificity")),
    ("agreement beyond chance, kappa", lambda found: f"{found['kappa']:.2f}"),
)
