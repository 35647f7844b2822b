"""Feedback logs as the arrays that estimators take, and rows of text to be scored."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._utils._warnings import warn
from ..exceptions import DataLossWarning, FeedbackError, InvalidInputError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = [
    "FeedbackLog",
    "check_suffix",
    "read_frame",
    "read_log",
    "read_rows",
    "save_rows",
    "write_rows",
]

_SUFFIXES = (".jsonl", ".ndjson", ".csv", ".parquet")


@dataclass(frozen=True)
class FeedbackLog:
    """A loaded log of n rows.

    Attributes
    ----------
    frame : DataFrame
        As `load_feedback` returns it.
    y : ndarray of shape (n,)
        Feedback, NaN where there is none.
    groups : ndarray of shape (n,)
        Rows that may not be split.
    columns : dict of ndarray of shape (n,)
        Those of asked, verified and judge_score that the log has.
    """

    frame: pd.DataFrame
    y: np.ndarray
    groups: np.ndarray
    columns: dict[str, np.ndarray]

    @property
    def text(self) -> pd.DataFrame:
        return self.frame[["prompt", "completion"]]

    def counts(self) -> dict[str, Any]:
        """Rows, rated rows and groups, and what the ratings say as they are."""
        import numpy as np

        rated = ~np.isnan(self.y)
        result: dict[str, Any] = {
            "rows": len(self.y),
            "groups": len(np.unique(self.groups.astype(str))),
            "rated": int(rated.sum()),
            "rated_share": float(rated.mean()),
            "positive_share_of_rated": float(self.y[rated].mean()) if rated.any() else None,
        }
        if "verified" in self.columns:
            result["verified"] = int(np.count_nonzero(~np.isnan(self.columns["verified"])))
        if "asked" in self.columns:
            result["asked"] = int(self.columns["asked"].sum())
        return result


def read_frame(source: Path, *, verified: Sequence[str] = (), **options: Any) -> pd.DataFrame:
    """Read a log by `load_feedback`, with its options, and put judgements into it.

    Parameters
    ----------
    source : path
    verified : sequence of str
        Label files (.jsonl), and at most one name of a column or score.

    Raises
    ------
    FeedbackError
        If a label file has no judgement of an answer in the log, or sources disagree.
    """
    from ..datasets import load_feedback
    from ..datasets._labels import answer_keys, match_labels, read_labels

    files = [Path(name) for name in verified if name.endswith(".jsonl")]
    names = [name for name in verified if not name.endswith(".jsonl")]
    if len(names) > 1:
        raise ValueError(
            f"--verified names the columns or scores {', '.join(names)}, and can name one besides "
            "label files (.jsonl): keep one."
        )
    labels = {path: read_labels(path) for path in files}
    frame = load_feedback(source, verified_name=names[0] if names else None, **options)
    keys = answer_keys(frame) if labels else None
    for path, table in labels.items():
        values, n_unmatched = match_labels(frame, table, keys=keys)
        if n_unmatched == (n_judged := int(table["verified"].count())):
            raise FeedbackError(
                f"None of the {n_judged} answers judged in {path} is in {source}: judge some by "
                "`skcausalrm label`, or pass the log that was judged."
            )
        frame = frame.assign(verified=values)
    return frame


def read_log(source: Path, **options: Any) -> FeedbackLog:
    """Read a log by `read_frame`, with its options.

    Warns
    -----
    DataLossWarning
        If rows lack a judge score, so that the column is left out.
    """
    frame = read_frame(source, **options)
    columns = {}
    for name in ("asked", "verified", "judge_score"):
        # An all-empty column, as many exports have, says nothing.
        if name in frame.columns and frame[name].notna().any():
            columns[name] = frame[name].to_numpy(dtype=bool if name == "asked" else float)
    if "asked" in columns and not columns["asked"].any():
        del columns["asked"]
    if "judge_score" in columns and (missing := int(frame["judge_score"].isna().sum())):
        del columns["judge_score"]
        warn(
            f"judge_score is left out, as {missing} of {len(frame)} rows of {source} have none: "
            "give every row one.",
            DataLossWarning,
            "import",
        )
    return FeedbackLog(
        frame, frame["feedback"].to_numpy(dtype=float), frame["group"].to_numpy(), columns
    )


def read_rows(source: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read rows of text, rated or not.

    Returns
    -------
    rows : DataFrame
        As they stand in the file.
    text : DataFrame
        Their prompt and completion, in the form that `read_log` gives the encoder.

    Raises
    ------
    InvalidInputError
        If there is neither prompt and completion nor messages.
    """
    from ..datasets import load_feedback
    from ..datasets._sources import read_records

    rows = read_records(source, "ROWS")
    for names in (["prompt", "completion"], ["messages"]):
        if rows.columns.isin(names).sum() == len(names):
            log = load_feedback(rows[names].assign(feedback=None))
            return rows, log[["prompt", "completion"]]
    raise InvalidInputError(
        f"{source} has the columns {list(map(str, rows.columns))}, and rows to be scored need "
        "prompt and completion, or messages: rename yours."
    )


def check_suffix(path: Path) -> None:
    """Raise unless `save_rows` knows the file's suffix.

    Raises
    ------
    ValueError
    """
    if path.suffix.lower() not in _SUFFIXES:
        raise ValueError(
            f"{path} ends in {path.suffix!r}, and rows are written to {', '.join(_SUFFIXES)}: "
            "choose one of these."
        )


def save_rows(rows: pd.DataFrame, path: Path) -> None:
    """Write rows to a file as its suffix says: at no time does half of it stand there."""
    from .._utils._atomic_files import sibling

    temporary = sibling(path)
    try:
        write_rows(rows, temporary, path.suffix.lower())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_rows(rows: pd.DataFrame, target: Any, suffix: str) -> None:
    """Write rows to a path or text stream as the suffix says.

    JSON lines hold the values as they are, with null for what is missing.
    """
    if suffix == ".csv":
        rows.to_csv(target, index=False)
    elif suffix == ".parquet":
        rows.to_parquet(target, index=False)
    else:
        missing = rows.isna().to_numpy()
        lines = (
            json.dumps(
                {
                    key: None if absent else value
                    for (key, value), absent in zip(record.items(), gaps, strict=True)
                },
                ensure_ascii=False,
                default=_as_json,
            )
            + "\n"
            for record, gaps in zip(rows.to_dict("records"), missing, strict=True)
        )
        if isinstance(target, Path):
            with target.open("w", encoding="utf-8") as file:
                file.writelines(lines)
        else:
            target.writelines(lines)


def _as_json(value: Any) -> Any:
    """What `json` cannot write itself, such as times and the lists of a Parquet file."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
