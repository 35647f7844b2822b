"""LangSmith: runs and feedback."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ...text._messages import is_list
from .._spans import (
    HUMAN,
    MODEL,
    UNKNOWN,
    USER,
    Export,
    Reading,
    Spans,
    find_answers,
    first_filled,
    get,
    make_scores,
    missing,
    no_scores,
    pick,
    require,
    seconds_between,
)
from .._texts import decode
from ._tool import Tool


def read(records: pd.DataFrame, scores: pd.DataFrame | None, reading: Reading) -> Export:
    """Read runs of `list_runs`, of `runs.query` and of bulk exports; feedback by run id."""
    ids = pick(records, "id")
    metadata = first_filled(
        get(pick(records, "extra"), "metadata"), pick(records, "metadata").map(decode)
    )
    start, end = pick(records, "start_time"), pick(records, "end_time")
    table = Spans(
        ids=ids,
        # runs.query() lists all runs above, the nearest one last.
        parents=first_filled(
            pick(records, "parent_run_id"), pick(records, "parent_run_ids").map(_last)
        ),
        traces=first_filled(pick(records, "trace_id"), ids),
        inputs=pick(records, "inputs").map(decode, na_action="ignore"),
        outputs=pick(records, "outputs").map(decode, na_action="ignore"),
        columns={
            "user": get(metadata, "user_id"),
            "conversation": first_filled(
                pick(records, "thread_id"),
                *(get(metadata, key) for key in ("session_id", "thread_id", "conversation_id")),
            ),
            "model": first_filled(
                get(metadata, "ls_model_name"), get(pick(records, "inputs"), "model")
            ),
            "timestamp": start,
            "latency": seconds_between(start, end),
            "prompt_tokens": pick(records, "prompt_tokens"),
            "completion_tokens": pick(records, "completion_tokens"),
        },
        tags=pick(records, "tags"),
        metadata=metadata,
        is_call=(pick(records, "run_type").map(_name) == "llm").to_numpy()
        if "run_type" in records.columns
        else None,
    )
    raw = _read_statistics(records) if scores is None else _read_feedback(scores)
    return find_answers(table, raw, reading)


def _last(items: Any) -> Any:
    items = decode(items)
    return items[-1] if is_list(items) and len(items) else None


def _name(value: Any) -> str:
    """Return a name in lower case, also of an SDK's enumeration."""
    return str(getattr(value, "value", value)).rpartition(".")[2].lower()


def _read_feedback(scores: pd.DataFrame) -> pd.DataFrame:
    require(scores, "LangSmith feedback", ("key",), ("run_id",))
    source = pick(scores, "feedback_source")
    origin = get(source, "type")
    # "app" is LangSmith's own interface, where the team annotates.
    kind = origin.map({"api": USER, "app": HUMAN}).fillna(MODEL).mask(origin.isna(), UNKNOWN)
    return make_scores(
        scores,
        span=scores["run_id"],
        trace=pick(scores, "trace_id"),
        name=scores["key"],
        value=first_filled(pick(scores, "score"), pick(scores, "value")),
        kind=kind,
        rater=get(source, "user_id"),
        timestamp=pick(scores, "modified_at", "created_at"),
        comment=pick(scores, "comment"),
        metadata=get(source, "metadata"),
    )


def _read_statistics(records: pd.DataFrame) -> pd.DataFrame:
    """Return the means of scores inside the runs; they do not record who rated."""
    statistics = pick(records, "feedback_stats").map(decode)
    found = [
        (row, name, entry.get("avg", entry.get("mean")))
        for row, entries in enumerate(statistics)
        if isinstance(entries, Mapping)
        for name, entry in entries.items()
        if isinstance(entry, Mapping) and entry.get("n", 1)
    ]
    if not found:
        return no_scores()
    rows, names, values = (list(column) for column in zip(*found, strict=True))
    some = records.iloc[rows]
    return make_scores(
        some,
        span=some["id"],
        trace=missing(some),
        name=pd.Series(names, index=some.index),
        value=pd.Series(values, index=some.index, dtype=object),
        kind=pd.Series(UNKNOWN, index=some.index),
        rater=missing(some),
        timestamp=missing(some),
        comment=missing(some),
        metadata=missing(some),
    )


def detect(columns: set[str]) -> bool:
    """Return True for runs or feedback."""
    return {"run_id", "key"} <= columns or {"inputs", "outputs"} <= columns


TOOL = Tool(
    "langsmith",
    read,
    detect,
    scores_alone=lambda columns: "run_id" in columns and "inputs" not in columns,
)
