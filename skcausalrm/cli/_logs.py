"""Feedback logs and their texts as the arrays that estimators take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .._utils._warnings import warn
from ..datasets import load_feedback
from ..datasets._labels import answer_keys, match_labels, read_labels
from ..datasets._top_up import label_weights
from ..exceptions import DataLossWarning, FeedbackError
from ._console import progress
from ._sources import Named, Sources, read_sources

if TYPE_CHECKING:  # scikit-learn, which `label` and `inspect` do without
    from ..text import ConversationEncoder


@dataclass(frozen=True)
class FeedbackLog:
    """A loaded log of n rows.

    Attributes
    ----------
    frame : DataFrame
        The log as returned by `load_feedback`.
    y : ndarray of shape (n,)
        Feedback, NaN where there is none.
    groups : ndarray of shape (n,)
        Prompt ids: rows that share one may not be split.
    columns : dict of ndarray of shape (n,)
        The columns asked, verified and judge_score, if the log has them.
    sources : Sources
        Users, instruments and signals.
    """

    frame: pd.DataFrame
    y: np.ndarray
    groups: np.ndarray
    columns: dict[str, np.ndarray]
    sources: Sources = field(default_factory=Sources)

    @property
    def users(self) -> np.ndarray | None:
        """User ids, missing where unknown; None if the log has none, or one for all rows."""
        return self.sources.users

    @property
    def verified_propensity(self) -> np.ndarray | None:
        """How likely each row was drawn to be verified, up to a factor; None if all alike."""
        found = self.frame.get("verified_propensity")
        return None if found is None else found.to_numpy(dtype=float)

    @property
    def text(self) -> pd.DataFrame:
        """Prompts and completions."""
        return self.frame[["prompt", "completion"]]

    def clusters(self, rows: Any = slice(None)) -> dict[str, np.ndarray | None]:
        """Return `groups` and `users` of some rows, as metrics take them for standard errors."""
        users = None if self.users is None else self.users[rows]
        return {"groups": self.groups[rows], "users": users}

    def counts(self) -> dict[str, Any]:
        """Return the numbers of rows, groups and ratings, and the raw share of positive ones.

        "import" holds the format, and the counts of rows and scores that were changed or dropped.
        """
        rated = ~np.isnan(self.y)
        result: dict[str, Any] = {
            "rows": len(self.y),
            "groups": len(np.unique(self.groups.astype(str))),
            "rated": int(rated.sum()),
            "rated_share": float(rated.mean()),
            "positive_share_of_rated": float(self.y[rated].mean()) if rated.any() else None,
            "import": self.frame.attrs["load_feedback"],
        }
        if "verified" in self.columns:
            result["verified"] = int(np.count_nonzero(~np.isnan(self.columns["verified"])))
        if "asked" in self.columns:
            result["asked"] = int(self.columns["asked"].sum())
        return result


def join_names(sources: Sequence[Path]) -> str:
    """Return the names of several logs for a message."""
    return ", ".join(map(str, sources))


def _one_or_list(paths: Sequence[Path]) -> Any:
    """Return a single path itself: messages then name it by its parameter."""
    return paths[0] if len(paths) == 1 else list(paths)


def read_frame(
    sources: Sequence[Path],
    *,
    scores: Sequence[Path] | None = None,
    verified: Sequence[str] | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Read logs by `load_feedback`, and add the judgements of label files.

    Parameters
    ----------
    sources : sequence of path
        Logs of one format.
    scores : sequence of path or None
        Scores of a tracing tool.
    verified : sequence of str or None
        Label files (.jsonl), and at most one name of a column or score.
    **options
        Other keyword arguments of `load_feedback`.

    Raises
    ------
    FeedbackError
        If the logs hold none of the answers judged in a label file, or if judgements disagree.
    """
    files = [name for name in verified or () if name.endswith(".jsonl")]
    names = [name for name in verified or () if name not in files]
    if len(names) > 1:
        raise ValueError(
            f"--verified names the columns or scores {', '.join(names)}, but can name one next to "
            "label files (.jsonl): keep one."
        )
    labels = {path: read_labels(path) for path in files}
    frame = load_feedback(
        _one_or_list(sources),
        scores=_one_or_list(scores) if scores else None,
        verified_name=names[0] if names else None,
        **options,
    )
    keys = answer_keys(frame) if labels else None
    weight = np.ones(len(frame))
    for path, table in labels.items():
        values, n_unmatched = match_labels(frame, table, keys=keys)
        if n_unmatched == (n_judged := int(table["verified"].count())):
            raise FeedbackError(
                f"None of the {n_judged} answers judged in {path} is in {join_names(sources)}: "
                "judge some by `skcausalrm label`, or pass the log that was judged."
            )
        frame = frame.assign(verified=values)
        own = pd.Series(keys).map(label_weights(table)).to_numpy(dtype=float)
        weight = np.where(np.isnan(own), weight, own)
    if (weight != 1).any():  # a top-up; as probabilities, of which only the ratios are known
        frame = frame.assign(verified_propensity=weight.min() / weight)
    return frame


def read_log(
    sources: Sequence[Path],
    *,
    named: Named | None = None,
    of_model: Named | None = None,
    **options: Any,
) -> FeedbackLog:
    """Read logs as arrays, by `read_frame` and its options.

    Parameters
    ----------
    sources : sequence of path
    named : Named or None
        Users, instruments and signals that the logs must have.
    of_model : Named or None
        Those that a model was fitted with, in place of what `named` leaves open, as far as the
        logs have them.
    **options
        See `read_frame`.

    Warns
    -----
    DataLossWarning
        If rows lack a judge score, so that the column is left out.
    """
    frame = read_frame(sources, **options)
    # Many exports have columns that are empty throughout: they count as absent.
    columns = {
        name: frame[name].to_numpy(dtype=float)
        for name in ("verified", "judge_score")
        if name in frame.columns and frame[name].notna().any()
    }
    if "asked" in frame.columns and frame["asked"].any():
        columns["asked"] = frame["asked"].to_numpy()
    if "judge_score" in columns and (missing := int(frame["judge_score"].isna().sum())):
        del columns["judge_score"]
        warn(
            f"judge_score is left out, because {missing} of {len(frame)} rows of "
            f"{join_names(sources)} have none: give every row one.",
            DataLossWarning,
            "import",
        )
    named = Named() if named is None else named
    if of_model is not None:
        known, absent = of_model.present(frame)
        named = named.completed(known)
        if absent:
            progress(f"  not in this log, but known at the fit: {', '.join(absent)}")
    return FeedbackLog(
        frame,
        frame["feedback"].to_numpy(dtype=float),
        frame["group"].to_numpy(),
        columns,
        read_sources(frame, named),
    )


def encode(encoder: ConversationEncoder, text: pd.DataFrame) -> np.ndarray:
    """Return the embeddings of text rows, and print the step."""
    progress(f"encoding {len(text):,} rows with {encoder.model}")
    return encoder.fit_transform(text)
