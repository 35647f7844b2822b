"""Langfuse: traces or observations, and scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ...text._messages import as_plain, is_list
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
    refuse_printed,
    require,
    seconds_between,
)
from .._texts import decode
from ._tool import Tool

_RATERS = {"API": USER, "ANNOTATION": HUMAN, "EVAL": MODEL}
# Columns of a downloaded table of traces that are no scores.
_UI_COLUMNS = {
    *(
        "id",
        "timestamp",
        "name",
        "userId",
        "sessionId",
        "release",
        "version",
        "environment",
        "tags",
    ),
    *("bookmarked", "public", "input", "output", "metadata", "comments", "traceId", "level"),
    *("latency", "inputTokens", "outputTokens", "totalTokens", "inputCost", "outputCost"),
    *("totalCost", "usage", "errorCount", "warningCount", "defaultCount", "debugCount", "model"),
    *("observationCount", "timeToFirstToken", "promptName", "promptVersion", "traceName", "type"),
    *("startTime", "endTime", "projectId", "createdAt", "updatedAt", "externalId", "htmlPath"),
    *("scores", "observations", "parentObservationId", "statusMessage", "completionStartTime"),
}


def read(records: pd.DataFrame, scores: pd.DataFrame | None, reading: Reading) -> Export:
    """Read traces, or observations with their trace's fields; scores by trace or observation."""
    ids = pick(records, "id")
    is_observation = bool({"traceId", "trace_id"} & set(records.columns))
    raw = [] if scores is None else [_read_scores(scores)]
    if scores is None and (inside := embedded(records, "scores", traceId="id")) is not None:
        raw = [_read_scores(inside)]
    if not raw and not is_observation:
        raw = [_score_column(records, name) for name in _score_columns(records)]
    usage = first_filled(pick(records, "usageDetails", "usage_details"), pick(records, "usage"))
    table = Spans(
        ids=ids,
        parents=pick(records, "parentObservationId", "parent_observation_id"),
        traces=pick(records, "traceId", "trace_id") if is_observation else ids,
        inputs=pick(records, "input"),
        outputs=pick(records, "output"),
        columns={
            "user": pick(records, "userId", "user_id"),
            "conversation": pick(records, "sessionId", "session_id"),
            "model": first_filled(
                pick(records, "model", "providedModelName", "provided_model_name"),
                _from_observations(records, "model"),
            ),
            "timestamp": pick(records, "timestamp", "startTime", "start_time"),
            "latency": first_filled(
                pick(records, "latency"),
                seconds_between(
                    pick(records, "startTime", "start_time"), pick(records, "endTime", "end_time")
                ),
            ),
            "prompt_tokens": first_filled(
                pick(records, "inputTokens", "promptTokens", "inputUsage", "input_usage"),
                get(usage, "input"),
            ),
            "completion_tokens": first_filled(
                pick(records, "outputTokens", "completionTokens", "outputUsage", "output_usage"),
                get(usage, "output"),
            ),
        },
        tags=pick(records, "tags", "traceTags", "trace_tags"),
        metadata=pick(records, "metadata"),
        is_call=(pick(records, "type").astype(str).str.upper() == "GENERATION").to_numpy()
        if "type" in records.columns
        else None,
    )
    all_scores = pd.concat(raw, ignore_index=True) if raw else no_scores()
    return find_answers(table, all_scores, reading)


def _read_scores(scores: pd.DataFrame) -> pd.DataFrame:
    """Return scores of the API in versions 2 and 3, of the UI and of blob storage."""
    require(scores, "Langfuse scores", ("name",), ("traceId", "trace_id", "subject"))
    number = pick(scores, "value")
    text = pick(scores, "stringValue", "string_value")
    # The number of a categorical score is the position of its category.
    categorical = pick(scores, "dataType", "data_type").astype(str) == "CATEGORICAL"
    subject = pick(scores, "subject")
    refuse_printed(subject, "column 'subject' of the scores")
    kind, subject_id = get(subject, "kind").astype(str).str.lower(), get(subject, "id")
    return make_scores(
        scores,
        span=first_filled(
            pick(scores, "observationId", "observation_id"), subject_id.where(kind == "observation")
        ),
        trace=first_filled(
            pick(scores, "traceId", "trace_id"),
            subject_id.where(kind == "trace"),
            get(subject, "traceId"),
            get(subject, "trace_id"),
        ),
        name=scores["name"],
        value=text.where(text.notna() & (categorical | number.isna()), number),
        kind=pick(scores, "source").map(_source_name).map(_RATERS).fillna(UNKNOWN),
        rater=pick(scores, "authorUserId", "author_user_id", "authorUserName"),
        timestamp=pick(scores, "timestamp", "updatedAt", "updated_at", "createdAt", "created_at"),
        comment=pick(scores, "comment"),
        metadata=pick(scores, "metadata"),
    )


def _source_name(source: Any) -> str:
    """Return the source in capitals, also of an SDK's enumeration."""
    return str(getattr(source, "value", source)).rpartition(".")[2].upper()


def _score_columns(records: pd.DataFrame) -> list[str]:
    """Return the columns that the UI makes of scores: lists of one value each."""
    return [
        name
        for name in records.columns
        if name not in _UI_COLUMNS
        and (values := records[name].dropna()).size
        and all(is_list(decode(value)) for value in values)
    ]


def _score_column(records: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return a column of the UI as scores whose rater is unknown, except for the user's."""
    lists = records[name].map(decode, na_action="ignore")
    value = lists.map(lambda items: items[-1] if is_list(items) and len(items) else None)
    some = value.notna()
    empty = missing(records)[some]
    kind = USER if "user" in name.lower() or "thumb" in name.lower() else UNKNOWN
    return make_scores(
        records[some],
        span=empty,
        trace=records.loc[some, "id"],
        name=pd.Series(name, index=records.index[some]),
        value=value[some],
        kind=pd.Series(kind, index=records.index[some]),
        rater=empty,
        timestamp=empty,
        comment=empty,
        metadata=empty,
    )


def _from_observations(records: pd.DataFrame, name: str) -> pd.Series:
    """Return the first value of a field among the observations inside a trace."""

    def first(observations: Any) -> Any:
        items = decode(observations)
        for item in map(as_plain, items if is_list(items) else ()):
            if isinstance(item, Mapping) and item.get(name) is not None:
                return item[name]
        return None

    return pick(records, "observations").map(first)


def detect(columns: set[str]) -> bool:
    """Return True for observations, scores, or a trace with what only Langfuse has."""
    texts = {"input", "output"} <= columns
    of_trace = bool({"bookmarked", "observations", "htmlPath"} & columns) and "id" in columns
    is_score = {"name", "value"} <= columns and bool({"traceId", "trace_id", "subject"} & columns)
    parents = {"parentObservationId", "parent_observation_id"}
    return is_score or (texts and (of_trace or bool(parents & columns)))


TOOL = Tool(
    "langfuse",
    read,
    detect,
    scores_alone=lambda columns: "value" in columns and "input" not in columns,
)
