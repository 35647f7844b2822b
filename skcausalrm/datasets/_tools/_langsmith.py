"""LangSmith: runs and feedback."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ...text._messages import as_plain, is_list
from .._columns import has_roles
from .._score_columns import column_scores, kind_by_name, single_values
from .._spans import (
    HUMAN,
    MODEL,
    UNKNOWN,
    USER,
    Export,
    Reading,
    Spans,
    embedded,
    find_answers,
    first_filled,
    get,
    make_scores,
    missing,
    pick,
    require,
    seconds_between,
    with_nested,
)
from .._texts import decode, decode_field
from ._tool import Tool

# "app" is LangSmith's own interface, where the team annotates; any other source is a model's.
_RATERS = {"api": USER, "app": HUMAN}
# Columns that tell a run from a person's own table of inputs and outputs.
_OF_RUNS = {
    *("run_type", "dotted_order", "parent_run_id", "parent_run_ids", "feedback_stats"),
    *("child_runs", "is_root"),
}
_SPLIT = object()  # stands for the ratings of several people who disagree evenly


def read(records: pd.DataFrame, scores: pd.DataFrame | None, reading: Reading) -> Export:
    """Read runs of `list_runs`, of `runs.query` and of bulk exports; feedback by run id."""
    records = with_nested(records, "child_runs", trace_id="trace_id", thread_id="thread_id")
    ids = pick(records, "id", "run_id")
    extra = pick(records, "extra")
    inputs = pick(records, "inputs").map(decode_field, na_action="ignore")
    outputs = pick(records, "outputs").map(decode_field, na_action="ignore")
    metadata = first_filled(get(extra, "metadata"), pick(records, "metadata").map(decode))
    start, end = pick(records, "start_time"), pick(records, "end_time")

    def tokens(side: str) -> pd.Series:
        return first_filled(
            *(get(holder, "usage_metadata", f"{side}_tokens") for holder in (outputs, metadata))
        )

    table = Spans(
        ids=ids,
        # runs.query() lists all runs above, the nearest one last.
        parents=first_filled(
            pick(records, "parent_run_id"), pick(records, "parent_run_ids").map(_last)
        ),
        traces=first_filled(pick(records, "trace_id"), ids),
        inputs=inputs,
        outputs=outputs,
        columns={
            "user": get(metadata, "user_id"),
            "conversation": first_filled(
                pick(records, "thread_id"),
                *(get(metadata, key) for key in ("session_id", "thread_id", "conversation_id")),
            ),
            "model": first_filled(
                get(metadata, "ls_model_name"),
                *(get(extra, "invocation_params", key) for key in ("model", "model_name")),
                get(inputs, "model"),
            ),
            "timestamp": start,
            "latency": first_filled(pick(records, "latency_seconds"), seconds_between(start, end)),
            "prompt_tokens": first_filled(pick(records, "prompt_tokens"), tokens("input")),
            "completion_tokens": first_filled(pick(records, "completion_tokens"), tokens("output")),
        },
        tags=pick(records, "tags"),
        metadata=metadata,
        is_call=(pick(records, "run_type").map(_name) == "llm").to_numpy()
        if "run_type" in records.columns
        else None,
    )
    if scores is not None:
        return find_answers(table, _read_feedback(scores), reading)
    raw, n_split = _read_statistics(records, ids)
    tables = [raw] + [
        column_scores(records, name, ids=ids, traces=missing(records), name=_key(name))
        for name in single_values(records, _OF_RUNS)
    ]
    if (inside := embedded(records, "feedback", run_id="id")) is not None and "key" in inside:
        tables.append(_read_feedback(inside))
    export = find_answers(table, pd.concat(tables, ignore_index=True), reading)
    export.counts["n_split"] = n_split
    return export


def _last(items: Any) -> Any:
    items = decode(items)
    return items[-1] if is_list(items) and len(items) else None


def _name(value: Any) -> str:
    """Return a name in lower case, also of an SDK's enumeration."""
    return str(getattr(value, "value", value)).rpartition(".")[2].lower()


def _read_feedback(scores: pd.DataFrame) -> pd.DataFrame:
    require(scores, "LangSmith feedback", ("key",), ("run_id",))
    source = pick(scores, "feedback_source")
    origin = first_filled(
        get(source, "type"),
        pick(scores, "feedback_source_type", "feedback_source.type"),
    ).map(_name, na_action="ignore")
    kind = origin.map(_RATERS).fillna(MODEL).mask(origin.isna(), UNKNOWN)
    return make_scores(
        scores,
        span=scores["run_id"],
        trace=pick(scores, "trace_id"),
        name=scores["key"],
        value=first_filled(pick(scores, "score"), pick(scores, "value")),
        kind=kind,
        rater=get(source, "user_id"),
        timestamp=first_filled(pick(scores, "modified_at"), pick(scores, "created_at")),
        comment=pick(scores, "comment"),
        metadata=get(source, "metadata"),
    )


def _read_statistics(records: pd.DataFrame, ids: pd.Series) -> tuple[pd.DataFrame, int]:
    """Return the scores that the runs sum up, and the number of them that are evenly split."""
    statistics = pick(records, "feedback_stats").map(decode)
    found = [
        (row, name, entry)
        for row, entries in enumerate(map(as_plain, statistics))
        if isinstance(entries, Mapping)
        for name, item in entries.items()
        if (entry := _as_entry(as_plain(item))) is not None
    ]
    kinds = [_rater(name, entry) for _, name, entry in found]
    values = pd.Series(
        [_value(entry, kind) for (*_, entry), kind in zip(found, kinds, strict=True)], dtype=object
    )
    rows = [row for row, *_ in found]
    some = records.iloc[rows].reset_index(drop=True)
    raw = make_scores(
        some,
        span=ids.iloc[rows].reset_index(drop=True),
        trace=missing(some),
        name=pd.Series([name for _, name, _ in found], dtype=object),
        value=values.where(values.map(lambda value: value is not _SPLIT), None),
        kind=pd.Series(kinds, dtype=object),
        rater=missing(some),
        timestamp=missing(some),
        comment=pd.Series([_first(entry.get("comments")) for *_, entry in found], dtype=object),
        metadata=missing(some),
    )
    n_split = sum(value is _SPLIT for value in values)
    return raw[values.notna().to_numpy(dtype=bool)], n_split


def _as_entry(item: Any) -> Mapping[str, Any] | None:
    """Return a summary, also one that holds a score alone."""
    if isinstance(item, str | int | float):
        return {"avg": item}
    return item if isinstance(item, Mapping) else None


def _key(column: str) -> str:
    """Return the feedback's key in a column's name, such as ``feedback.user_score``."""
    return column.removeprefix("feedback_stats.").removeprefix("feedback.").removesuffix(".avg")


def _rater(name: Any, entry: Mapping[str, Any]) -> str:
    """Return the rater by the sources, if these agree, else by the score's name."""
    sources: Any = entry.get("sources")
    decoded = map(decode, sources if is_list(sources) else ())
    types = {_name(s.get("type") if isinstance(s, Mapping) else s) for s in decoded}
    raters = {_RATERS.get(one, MODEL) for one in types}
    return raters.pop() if len(raters) == 1 else kind_by_name(name)


def _value(entry: Mapping[str, Any], kind: str) -> Any:
    """Return the mean of numbers, for a person's labels the majority, or the commonest category."""
    mean = entry.get("avg", entry.get("mean"))
    if mean is not None:
        is_share = kind in (USER, HUMAN) and isinstance(mean, float) and 0 < mean < 1
        if is_share and entry.get("n", 1) != 1:
            return _SPLIT if mean == 0.5 else float(mean > 0.5)
        return mean
    categories = decode(entry.get("values"))
    if not isinstance(categories, Mapping) or not categories:
        return None
    counts = pd.to_numeric(pd.Series(list(categories.values()), dtype=object), errors="coerce")
    commonest = (counts == counts.max()).to_numpy()
    return list(categories)[int(commonest.argmax())] if commonest.sum() == 1 else _SPLIT


def _first(items: Any) -> Any:
    return items[0] if is_list(items) and len(items) else None


def detect(columns: set[str]) -> bool:
    """Return True for runs or feedback; inputs and outputs next to ratings are a person's own."""
    if {"run_id", "key"} <= columns:
        return True
    is_run = bool(_OF_RUNS & columns) or not has_roles(columns, "feedback")
    return {"inputs", "outputs"} <= columns and is_run


TOOL = Tool(
    "langsmith",
    read,
    detect,
    scores_alone=lambda columns: "run_id" in columns and "inputs" not in columns,
)
