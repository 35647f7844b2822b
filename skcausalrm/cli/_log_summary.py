"""What a log holds: for `inspect`, `pull` and the first lines of `fit`."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from ._sources import Sources, signal_lines

# Names of counts in `attrs` that are not rows or scores of the log.
_FACTS = {"format", "left_out", "columns", "score_like", "duplicates"}


def summarise(frame: pd.DataFrame, sources: Sources) -> dict[str, Any]:
    """Return what a loaded log holds, as JSON can hold it.

    Parameters
    ----------
    frame : DataFrame
        As `load_feedback` returns it.
    sources : Sources
        Its users, instruments and signals.

    Returns
    -------
    dict
        Counts of rows, ratings, users, conversations, models and turns, the period, the columns,
        and under "import" what `load_feedback` changed or left out.
    """
    rated = frame["feedback"].notna()
    facts: dict[str, Any] = {
        "rows": len(frame),
        "rated": int(rated.sum()),
        "rated_share": float(rated.mean()),
        "positive_share_of_rated": float(frame["feedback"].mean()) if rated.any() else None,
    }
    for name in ("verified", "judge_score", "comment", "next_message"):
        if name in frame.columns and (count := int(frame[name].notna().sum())):
            facts[name] = count
    if "asked" in frame.columns and frame["asked"].dtype == bool:
        facts["asked"] = int(frame["asked"].sum())
    for name in ("group", "conversation", "user", "model"):
        values = frame.get(name)
        if name == "user" and sources.users is not None:
            values = pd.Series(sources.users)
        if values is not None and values.notna().any():
            facts[f"{name}s"] = int(values.nunique())
    if "timestamp" in frame.columns and frame["timestamp"].notna().any():
        times = frame["timestamp"]
        facts["period"] = [times.min().isoformat(), times.max().isoformat()]
    return facts | {
        **sources.facts(),
        "columns": [str(name) for name in frame.columns],
        "import": frame.attrs["load_feedback"],
    }


def summary_lines(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the facts of `summarise` as rows of a table; empty counts are left out."""
    details = facts["import"]
    yield "format", details["format"]
    for name, value in facts.items():
        if name in ("columns", "import", "rated_share", "out"):
            continue
        if name == "rated":
            yield "rated", f"{value:,} ({facts['rated_share']:.1%})"
        elif name == "period":
            yield "period", " to ".join(text[:10] for text in value)
        elif name == "signals":
            yield from signal_lines(value)
        elif name == "instruments":
            if value:
                yield "instruments", ", ".join(value)
        elif isinstance(value, float):
            yield name.replace("_", " "), f"{value:.3f}"
        elif value is not None:
            yield name.replace("_", " "), f"{value:,}"
    renamed = {role: name for role, name in details.get("columns", {}).items() if name != role}
    for role, name in renamed.items():
        yield f"{role} is read from", name
    known = {*details.get("columns", {}), "feedback", "group", "turn", "next_message"}
    known |= {*facts["signals"], *facts["instruments"]}
    if details["format"] in ("plain", "trl", "chat"):
        unused = [name for name in facts["columns"] if name not in known]
        if unused:
            yield "kept, but not read", ", ".join(unused)
    for name, count in details.items():
        if name not in _FACTS and count and name != "n_records":
            yield name.removeprefix("n_").replace("_", " "), f"{count:,}"
    for reason, entry in details["left_out"].items():
        ids = ", ".join(entry["ids"][:5]) + (", ..." if entry["count"] > 5 else "")
        yield f"left out: {reason}", f"{entry['count']:,} ({ids})"
