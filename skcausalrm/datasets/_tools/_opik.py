"""Opik: traces and spans with the feedback scores inside them."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ...exceptions import FileFormatError
from ...text._messages import as_plain
from .._columns import has_roles
from .._score_columns import column_scores, kind_by_name
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
    no_scores,
    pick,
    seconds_between,
    with_nested,
)
from .._texts import decode, decode_field
from ._tool import Tool

# "ui" is Opik's own interface, where the team annotates.
_RATERS = {"sdk": USER, "ui": HUMAN, "online_scoring": MODEL}
_SCORES = "feedback_scores"
# Columns that only Opik's traces have.
_OWN = {"span_count", "llm_span_count", "visibility_mode", "total_estimated_cost", "error_info"}
# Prefix and suffix of the columns that a table downloaded from Opik makes of scores.
_PREFIX, _REASON = "feedback_scores.", "_reason"
_NO_SCORE = "-"  # the value of these columns without a score


def read(records: pd.DataFrame, scores: pd.DataFrame | None, reading: Reading) -> Export:
    """Read traces, spans or both; scores by trace or span, or those inside them."""
    if "trace_feedback_scores" in records.columns:
        raise FileFormatError(
            "The CSV files of opik export have one column for each part of each text, so that "
            "chats cannot be read: export with --format json."
        )
    records = with_nested(_unwrapped(records), "spans", trace_id="id")
    ids = pick(records, "id")
    start, end = pick(records, "start_time"), pick(records, "end_time")
    metadata, usage = pick(records, "metadata"), pick(records, "usage")
    output = pick(records, "output").map(decode_field, na_action="ignore")
    trace = pick(records, "trace_id")
    table = Spans(
        ids=ids,
        parents=first_filled(pick(records, "parent_span_id"), trace),
        traces=first_filled(trace, ids),
        inputs=pick(records, "input").map(decode_field, na_action="ignore"),
        outputs=output,
        columns={
            "user": get(metadata, "user_id"),
            "conversation": pick(records, "thread_id"),
            "model": first_filled(
                pick(records, "model"), get(output, "model"), get(metadata, "model")
            ),
            "timestamp": start,
            "latency": first_filled(
                pd.to_numeric(pick(records, "duration"), errors="coerce") / 1000,
                seconds_between(start, end),
            ),
            **{
                name: first_filled(get(usage, name), pick(records, f"usage.{name}"))
                for name in ("prompt_tokens", "completion_tokens")
            },
        },
        tags=pick(records, "tags"),
        metadata=metadata,
        is_call=(pick(records, "type").astype(str) == "llm").to_numpy()
        if "type" in records.columns
        else None,
    )
    if scores is not None:
        return find_answers(table, _read_scores(scores), reading)
    raw = [
        column_scores(
            records.assign(
                **{column: records[column].mask(records[column].astype(str) == _NO_SCORE)}
            ),
            column,
            ids=ids,
            traces=trace,
            name=column.removeprefix(_PREFIX),
            comment=column + _REASON,
        )
        for column in records.columns
        if _is_score_column(column)
    ]
    if (inside := embedded(records, _SCORES, id="id")) is not None:
        raw.append(_read_scores(inside))
    # A trace sums up the scores of its spans, which are there themselves if the spans are.
    summed = embedded(records, "span_feedback_scores", id="id") if trace.isna().all() else None
    if summed is not None:
        raw.append(_read_scores(summed))
    return find_answers(table, pd.concat(raw) if raw else no_scores(), reading)


def _unwrapped(records: pd.DataFrame) -> pd.DataFrame:
    """Return the traces of the files of opik export, which keep the spans next to the trace."""
    if "trace" not in records.columns or "id" in records.columns:
        return records
    pairs = zip(map(as_plain, records["trace"]), records["spans"], strict=True)
    return pd.DataFrame(
        [{**trace, "spans": spans} for trace, spans in pairs if isinstance(trace, Mapping)]
    )


def _read_scores(scores: pd.DataFrame) -> pd.DataFrame:
    scores = _by_author(scores)
    source = pick(scores, "source").map(
        lambda value: str(getattr(value, "value", value)).rpartition(".")[2].lower()
    )
    kind = source.map(_RATERS).fillna(UNKNOWN)
    return make_scores(
        scores,
        span=first_filled(pick(scores, "id"), pick(scores, "span_id")),
        trace=pick(scores, "trace_id"),
        name=pick(scores, "name"),
        value=first_filled(pick(scores, "value"), pick(scores, "category_name")),
        kind=kind.mask(pick(scores, "by_name").notna(), pick(scores, "name").map(kind_by_name)),
        rater=first_filled(pick(scores, "author"), pick(scores, "created_by")),
        timestamp=first_filled(pick(scores, "last_updated_at"), pick(scores, "created_at")),
        comment=pick(scores, "reason"),
        metadata=missing(scores),
    )


def _by_author(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the score of each author where a score is the mean of several authors'."""
    if "value_by_author" not in scores.columns:
        return scores
    rows: list[dict[str, Any]] = []
    for score in scores.to_dict("records"):
        authors = as_plain(decode(score.pop("value_by_author")))
        entries = authors.items() if isinstance(authors, Mapping) else ()
        own = [
            {**score, "author": author, **_filled(entry)}
            for author, item in entries
            if isinstance(entry := as_plain(item), Mapping)
        ]
        rows += own or [score]
    return pd.DataFrame(rows)


def _filled(entry: Mapping[str, Any]) -> dict[str, Any]:
    fields = ("value", "category_name", "reason", "source", "last_updated_at", "author")
    return {name: entry[name] for name in fields if entry.get(name) is not None}


def _is_score_column(name: Any) -> bool:
    return str(name).startswith(_PREFIX) and not str(name).endswith(_REASON)


def detect(columns: set[str]) -> bool:
    """Return True for traces or spans with their scores, or for the files of opik export."""
    has_scores = _SCORES in columns or any(map(_is_score_column, columns))
    is_file = {"trace", "spans", "downloaded_at"} <= columns
    is_span = {"parent_span_id", "trace_id", "input", "output"} <= columns
    is_table = "trace_feedback_scores" in columns
    texts = {"input", "output"} <= columns
    # Objects without scores leave the field out.
    is_trace = {"id", "start_time"} <= columns and bool(_OWN & columns)
    is_trace &= not has_roles(columns, "feedback")
    return is_file or is_table or is_span or (texts and (has_scores or is_trace))


TOOL = Tool("opik", read, detect)
