"""Exports of tracing tools as answers and the scores that refer to them.

In every tool an answer is a topmost span of the export. A score on a span below it counts for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..exceptions import FileFormatError
from ._values import (
    input_prompt,
    is_sequence,
    output_text,
    parse_json,
    parse_times,
)

USER, HUMAN, MODEL, UNKNOWN = "user", "human", "model", "unknown"
_MAX_DEPTH = 1_000  # levels of a tree of spans; ends a cycle of parents
SCORE_COLUMNS = ["id", "name", "value", "kind", "rater", "timestamp", "comment", "metadata"]
_MARK_COLUMNS = ["id", "tags", "metadata"]


@dataclass
class Export:
    """Answers (id, prompt, completion, ...), scores (SCORE_COLUMNS) and marks.

    Marks are the ``tags`` and ``metadata`` of spans. In `scores` and `marks` the ``id`` is that
    of the answer.
    """

    answers: pd.DataFrame
    scores: pd.DataFrame
    marks: pd.DataFrame
    n_unanswered: int = 0  # topmost spans whose output is missing
    n_unmatched: int = 0  # scores that refer to no answer


def pick(frame: pd.DataFrame, *names: str) -> pd.Series:
    """Return the first of the named columns that exists and is not empty, else missing values."""
    for name in names:
        if name in frame.columns and frame[name].notna().any():
            return frame[name]
    return pd.Series(None, index=frame.index, dtype=object)


def get(values: pd.Series, *path: str) -> pd.Series:
    """Return a field of JSON objects: nested, or under its dotted name."""

    def one(value: Any) -> Any:
        value = parse_json(value)
        if isinstance(value, Mapping) and ".".join(path) in value:
            return value[".".join(path)]
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    return values.map(one)


def topmost(ids: pd.Series, parents: pd.Series, candidate: np.ndarray) -> np.ndarray:
    """Return the position of each row's highest ancestor (or itself) that is a candidate, or -1."""
    index = pd.Index(ids.astype(str))
    first = ~index.duplicated()
    positions = pd.Series(np.arange(len(index))[first], index=index[first])
    up = positions.reindex(parents.astype(str)).fillna(-1).to_numpy(dtype=np.int64)
    current, top = np.arange(len(ids)), np.full(len(ids), -1)
    for _ in range(_MAX_DEPTH):
        alive = current >= 0
        if not alive.any():
            break
        top = np.where(alive & candidate[current], current, top)
        current = np.where(alive, up[current], -1)
    return top


def build(
    *,
    ids: pd.Series,
    parents: pd.Series,
    traces: pd.Series,
    candidate: np.ndarray,
    inputs: pd.Series,
    outputs: pd.Series,
    columns: Mapping[str, pd.Series],
    tags: pd.Series,
    metadata: pd.Series,
    scores: pd.DataFrame,
) -> Export:
    """Choose the answers among spans, and assign scores and marks to their answers.

    `scores` has SCORE_COLUMNS with the span's id, or missing, in ``id`` and the trace's id, or
    missing, in ``trace``.
    """
    top = topmost(ids, parents, candidate)
    rows = np.unique(top[top >= 0])
    answered = outputs.notna().to_numpy()[rows]
    n_unanswered = int((~answered).sum())
    rows = rows[answered]

    answers = pd.DataFrame({"id": ids.iloc[rows].astype(str).to_numpy()})
    answers["prompt"] = pd.Series(
        [
            input_prompt(value, f"row {row}: the input")
            for row, value in zip(rows, inputs.iloc[rows], strict=True)
        ],
        dtype=object,
    )
    answers["completion"] = [
        output_text(value, f"row {row}: the output")
        for row, value in zip(rows, outputs.iloc[rows], strict=True)
    ]
    for name, values in columns.items():
        if values.notna().any():
            # A root span often lacks the model, which the call below it has.
            of_top = values[top >= 0].groupby(top[top >= 0]).first()
            answers[name] = of_top.reindex(rows).to_numpy()

    own = pd.Series(ids.astype(str).to_numpy()[np.maximum(top, 0)], index=ids.astype(str))
    own = own[top >= 0]
    by_span = own[~own.index.duplicated()]
    by_trace = pd.Series(answers["id"].to_numpy(), index=traces.iloc[rows].astype(str))
    by_trace = by_trace[~by_trace.index.duplicated()]

    def answer_of(spans: pd.Series, traces: pd.Series) -> pd.Series:
        answer = spans.astype(str).map(by_span)
        answer = answer.where(answer.isin(answers["id"]), None)
        return answer.where(answer.notna(), traces.astype(str).map(by_trace))

    scores = scores.assign(id=answer_of(scores["id"], scores["trace"]))[SCORE_COLUMNS]
    matched = scores["id"].notna()
    some = tags.notna() | metadata.notna()
    of = answer_of(ids[some], traces[some])
    marks = pd.DataFrame({"id": of, "tags": tags[some], "metadata": metadata[some]})
    return Export(
        answers,
        scores[matched].reset_index(drop=True),
        marks[of.notna()].reset_index(drop=True),
        n_unanswered,
        int((~matched).sum()),
    )


def make_scores(
    frame: pd.DataFrame,
    *,
    span: pd.Series,
    trace: pd.Series,
    name: pd.Series,
    value: pd.Series,
    kind: pd.Series,
    rater: pd.Series,
    timestamp: pd.Series,
    comment: pd.Series,
    metadata: pd.Series,
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": span,
            "trace": trace,
            "name": name.astype(str),
            "value": value,
            "kind": kind,
            "rater": rater,
            "timestamp": parse_times(timestamp, "timestamp of the scores"),
            "comment": comment,
            "metadata": metadata,
        },
        index=frame.index,
    )


def no_scores() -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(dtype=object) for name in [*SCORE_COLUMNS, "trace"]})


def no_marks() -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(dtype=object) for name in _MARK_COLUMNS})


def embedded(records: pd.DataFrame, column: str) -> pd.DataFrame | None:
    """Return the score objects inside the records as one table."""
    if column not in records.columns:
        return None
    lists = records[column].map(parse_json)
    objects = [item for items in lists if is_sequence(items) for item in items]
    objects = [item for item in objects if isinstance(item, Mapping)]
    return pd.DataFrame(objects) if objects else None


def index_to_column(frame: pd.DataFrame) -> pd.DataFrame:
    name = frame.index.name
    return frame.reset_index(drop=name is None or name in frame.columns)


def require(frame: pd.DataFrame, what: str, *alternatives: tuple[str, ...]) -> None:
    missing = [names for names in alternatives if not set(names) & set(frame.columns)]
    if missing:
        wanted = ", ".join(" or ".join(map(repr, names)) for names in missing)
        raise FileFormatError(
            f"{what} need the column {wanted}; the columns are {sorted(map(str, frame.columns))}."
        )
