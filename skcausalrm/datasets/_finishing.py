"""The last step of an import: groups, the order of columns, and warnings of what was lost."""

from typing import Any

import pandas as pd

from .._utils._warnings import warn
from ..exceptions import AssumptionWarning, DataLossWarning, FileFormatError
from ._columns import SIGNALS
from ._conversations import add_turns, group_by_opening
from ._left_out import describe
from ._signals import complete_signals

_COLUMNS = (
    "prompt", "completion", "feedback", "verified", "asked", "judge_score",
    "group", "conversation", "turn", "user", "model", "timestamp", "comment", "tags",
    "next_message", *SIGNALS, "latency", "prompt_tokens", "completion_tokens", "id",
)  # fmt: skip
# Text for each count of rows or scores that an import changed or left out.
_LOSSES = {
    "n_repeated": "repeated answers of which the last was kept",
    "n_duplicates": "rows that an earlier source holds too, which were dropped ({duplicates})",
    "n_conflicts": "contradictions between these rows (the later rating counts if both are dated, "
    "else the earlier source)",
    "n_unmatched": "scores of answers that are not in the source, which were left out",
    "n_scores_left_out": "scores of answers that were left out",
    "n_superseded": "scores superseded by a later one of the same answer",
    "n_outvoted": "verified answers decided by the majority of people who disagree",
    "n_undecided": "answers on which people are evenly split, which are left unverified",
    "n_split": "answers whose raters disagree evenly, which are left unrated",
    "n_asked_by_answer": "asked answers that only their feedback marks, so that the asked who "
    "gave none look like rows that nobody asked about (mark the trace instead)",
    "n_other_scores": "scores that are neither feedback nor named for another column",
    "n_unsubmitted": "judgements that people discarded or left as drafts, which do not count",
    "n_unreadable_scores": "verified labels or judge scores that cannot be read, which are empty",
    "n_unreadable_times": "times that cannot be read, which are empty",
    "n_zeros_unrated": "zeros of feedback that were read as no rating, because -1 occurs too "
    "(labels={0: 0} makes them dislikes)",
}


def finish_log(frame: pd.DataFrame, format: str, facts: dict[str, Any]) -> pd.DataFrame:
    """Return the frame with groups, ordered columns and facts; warn of what was lost."""
    if frame.empty:
        lost = f" ({describe(facts['left_out'])})" if facts["left_out"] else ""
        raise FileFormatError(
            f"The {format} source holds no answer that can be read{lost}, so there is nothing to "
            "load: export answers with their texts."
        )
    frame = complete_signals(add_turns(frame))
    if "group" not in frame.columns:
        frame = _grouped(frame)
    first = [name for name in _COLUMNS if name in frame.columns]
    frame = frame[[*first, *(name for name in frame.columns if name not in first)]]
    frame.attrs["load_feedback"] = {"format": format, **facts}
    _warn_of_losses(frame, facts)
    if not frame["feedback"].notna().any():
        like = facts.get("score_like")
        hint = (
            f"the column(s) {', '.join(map(repr, like))} look like ratings and were not used: name "
            "one with feedback_name"
            if like
            else "name the column or score with feedback_name, or pass the scores"
        )
        warn(f"None of the {len(frame)} rows is rated; {hint}.", AssumptionWarning, "no-rated-rows")
    elif frame["feedback"].notna().all():
        warn(
            f"All {len(frame)} rows are rated, so there is no selection to correct: load the "
            "answers without feedback too (traces, runs, chats) and pass the feedback as scores.",
            AssumptionWarning,
            "no-unrated-rows",
        )
    return frame


def _grouped(frame: pd.DataFrame) -> pd.DataFrame:
    """Add ``group``: the conversation, else the first user message."""
    known = frame.get("conversation")
    if known is not None and known.notna().all():
        return frame.assign(group=pd.factorize(known.astype(str))[0])
    codes = group_by_opening(frame["prompt"], completions=frame["completion"])
    if known is None:
        return frame.assign(group=codes)
    # An opening's number must not be taken for the id of a conversation.
    openings = "opening " + pd.Series(codes, index=frame.index).astype(str)
    names = ("conversation " + known.astype(str)).where(known.notna(), openings)
    return frame.assign(group=pd.factorize(names)[0])


def _warn_of_losses(frame: pd.DataFrame, facts: dict[str, Any]) -> None:
    dropped = facts.get("duplicates", {}).items()
    duplicates = ", ".join(f"{count} in {name}" for name, count in dropped)
    found = [
        f"{facts[name]} {text.replace('{duplicates}', duplicates)}"
        for name, text in _LOSSES.items()
        if facts.get(name)
    ]
    if facts["left_out"]:
        count = sum(entry["count"] for entry in facts["left_out"].values())
        found.insert(0, f"{count} rows that were left out: {describe(facts['left_out'])}")
    if found:
        warn(
            f"The import of {len(frame)} answers found {'; '.join(found)}.",
            DataLossWarning,
            "import",
        )
    if like := facts.get("score_like"):
        warn(
            f"The column(s) {', '.join(map(repr, like))} look like ratings and are not used: name "
            "one with feedback_name, verified_name or judge_score_name if it is one.",
            DataLossWarning,
            "unused-columns",
        )
