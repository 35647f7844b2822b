"""Spans of tracing tools as answers, and the scores that refer to them.

In every tool an answer is a topmost span of the export that has texts. A score on a span below it
counts for it; so does one on a span above it, on the trace or on the conversation, that has no
other answer.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..exceptions import FileFormatError
from ..text._messages import as_plain, is_list
from ._left_out import LeftOut
from ._span_trees import AnswerMap, as_keys, parent_positions, topmost, with_lone_roots
from ._texts import Unreadable, decode, input_prompt, output_text, read_texts
from ._values import parse_times

# Raters: a product's user, a member of the team in the tool's own interface, a model or a program.
USER, HUMAN, MODEL, UNKNOWN = "user", "human", "model", "unknown"
SCORE_COLUMNS = [
    *("id", "name", "value", "kind", "rater", "timestamp", "comment", "tags", "metadata"),
]
# Columns that an answer takes from any span of its trace, such as the request above it.
_OF_TRACES = ("user", "conversation")
# Columns of numbers, which CSV files hold as texts.
NUMBERS = ("latency", "prompt_tokens", "completion_tokens")
# The beginning of a pydantic model's printed form.
_PRINTED = re.compile(r"\w+=\S")
_MARK_COLUMNS = ["id", "tags", "metadata"]


@dataclass(frozen=True)
class Reading:
    """The caller's wishes for reading texts.

    Attributes
    ----------
    prompt_key, completion_key : str or None
        Dotted path of the text inside an input or output.
    on_error : {"omit", "raise"}
        Whether to leave out rows that cannot be read.
    """

    prompt_key: str | None = None
    completion_key: str | None = None
    on_error: str = "omit"

    def prompt(self, value: Any) -> Any:
        """Return the prompt in an input."""
        return input_prompt(value, self.prompt_key)

    def completion(self, value: Any) -> str:
        """Return the answer in an output."""
        return output_text(value, self.completion_key)


@dataclass
class Export:
    """Answers (id, prompt, completion, ...), scores (SCORE_COLUMNS) and marks.

    Marks are the ``tags`` and ``metadata`` of spans. In `scores` and `marks` the ``id`` is that
    of the answer. `left_out` is a summary of `LeftOut`, and `counts` holds further counts.
    `verified` is the score that is verified unless the caller names another.
    """

    answers: pd.DataFrame
    scores: pd.DataFrame
    marks: pd.DataFrame
    left_out: dict[str, dict[str, Any]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    verified: str | None = None


def pick(frame: pd.DataFrame, *names: str) -> pd.Series:
    """Return the first of the named columns that exists and is not empty, else missing values."""
    for name in names:
        if name in frame.columns and frame[name].notna().any():
            return frame[name]
    return pd.Series(None, index=frame.index, dtype=object)


def get(values: pd.Series, *path: str) -> pd.Series:
    """Return a field of JSON objects: nested, or under its dotted name."""

    def one(value: Any) -> Any:
        value = as_plain(decode(value))
        if isinstance(value, Mapping) and ".".join(path) in value:
            return value[".".join(path)]
        for key in path:
            value = as_plain(decode(value))
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    return values.astype(object).map(one, na_action="ignore")


def first_filled(*candidates: pd.Series) -> pd.Series:
    """Return for each row the first value that is not missing."""
    result = candidates[0].astype(object)
    for other in candidates[1:]:
        if (missing := result.isna()).any() and other.notna().any():
            result = result.where(~missing, other)
    return result


def seconds_between(start: pd.Series, end: pd.Series) -> pd.Series:
    """Return the seconds from start to end, missing where one is, or where they are equal."""
    seconds = (parse_times(end)[0] - parse_times(start)[0]).dt.total_seconds()
    return seconds.where(seconds > 0).astype(object)


@dataclass
class Spans:
    """The columns of an export's spans that `find_answers` reads, one value per span.

    Attributes
    ----------
    ids, parents, traces : Series
        Id of the span, of the span above it, and of its trace.
    inputs, outputs : Series
        Values that hold the prompt and the answer.
    columns : dict of Series
        Further columns of the answers, such as ``user``; a span without a value takes that of a
        span below it.
    tags, metadata : Series
        Marks by which the asked may be named.
    candidate : ndarray of bool or None
        Spans that may be answers. None takes all that have an input or an output, and
        the root of a trace without such a span, so that it is counted as left out.
    is_call : ndarray of bool or None
        Spans that call a model. Their messages serve where the answer's own input or output cannot
        be read. None takes all spans that have both.
    """

    ids: pd.Series
    parents: pd.Series
    traces: pd.Series
    inputs: pd.Series
    outputs: pd.Series
    columns: Mapping[str, pd.Series]
    tags: pd.Series
    metadata: pd.Series
    candidate: NDArray[np.bool_] | None = None
    is_call: NDArray[np.bool_] | None = None


def find_answers(spans: Spans, scores: pd.DataFrame, reading: Reading) -> Export:
    """Choose the answers among spans, and assign scores and marks to their answers.

    `scores` has SCORE_COLUMNS with the span's id in ``id`` and the trace's in ``trace``, and may
    have the conversation's in ``conversation``. Any of them may be missing.
    """
    unnamed = [f"row {position}" for position in range(len(spans.ids))]
    ids = as_keys(spans.ids)
    spans = replace(spans, ids=ids.where(ids.notna(), unnamed), traces=as_keys(spans.traces))
    has_input, has_output = spans.inputs.notna().to_numpy(), spans.outputs.notna().to_numpy()
    up = parent_positions(spans.ids, spans.parents)
    candidate = spans.candidate
    if candidate is None:
        candidate = with_lone_roots(has_input | has_output, up, spans.traces)
    top = topmost(up, candidate)
    rows = np.unique(top[top >= 0])
    calls = has_input & has_output if spans.is_call is None else spans.is_call
    prompts, completions, left_out = _read_rows(spans, rows, top, calls, reading)
    texts = {"id": spans.ids.iloc[rows].tolist(), "prompt": prompts, "completion": completions}
    answers = left_out.keep(pd.DataFrame(texts, dtype=object))
    kept = rows[left_out.kept]
    for name, values in spans.columns.items():
        if values.notna().any():
            values = values.map(as_name, na_action="ignore")
            # A root span often lacks the model, which the call below it has.
            below = values[top >= 0].groupby(top[top >= 0]).first().reindex(kept)
            candidates = [values.iloc[kept], below]
            if name in _OF_TRACES:
                of_trace = values.groupby(spans.traces).first()
                candidates.append(spans.traces.iloc[kept].map(of_trace))
            filled = first_filled(*(c.reset_index(drop=True) for c in candidates))
            answers[name] = as_numbers(filled) if name in NUMBERS else filled.infer_objects()
    conversations = pick(answers, "conversation")
    answer_of = AnswerMap(spans.ids, spans.traces, up, top, kept, conversations)
    matches = answer_of(scores["id"], scores["trace"], scores["conversation"])
    lost = answer_of.is_left_out(scores["id"], scores["trace"])
    scores = scores.assign(id=matches)[SCORE_COLUMNS]
    matched = scores["id"].notna()
    some = (spans.tags.notna() | spans.metadata.notna()).to_numpy()
    of = answer_of(spans.ids[some], spans.traces[some])
    marks = pd.DataFrame({"id": of, "tags": spans.tags[some], "metadata": spans.metadata[some]})
    return Export(
        answers,
        scores[matched].reset_index(drop=True),
        marks[of.notna()].reset_index(drop=True),
        left_out.summary(),
        {
            "n_unmatched": int((~matched & ~lost).sum()),
            "n_scores_left_out": int((~matched & lost).sum()),
            "n_spans": len(spans.ids),
        },
    )


def as_numbers(values: pd.Series) -> pd.Series:
    """Return numbers, missing where a value is none."""
    return pd.to_numeric(values.where(values.map(np.isscalar)), "coerce")


def _read_rows(
    spans: Spans,
    rows: NDArray[np.intp],
    top: NDArray[np.intp],
    calls: NDArray[np.bool_],
    reading: Reading,
) -> tuple[list[Any], list[Any], LeftOut]:
    """Return the prompt and the answer of each row, from the model's call below it if need be."""
    inputs, outputs = spans.inputs.iloc[rows], spans.outputs.iloc[rows]
    prompts, bad_prompts = read_texts(inputs, partial(_read_present, reading.prompt))
    completions, bad_completions = read_texts(outputs, reading.completion)
    bad = {**bad_completions, **bad_prompts}
    for reason in bad_completions.keys() & bad_prompts.keys():
        bad[reason] = bad_completions[reason] | bad_prompts[reason]
    unread = np.any([*bad.values(), np.zeros(len(rows), dtype=bool)], axis=0)
    if unread.any():
        below: dict[int, list[int]] = {}
        for position in np.flatnonzero(calls & np.isin(top, rows[unread])):
            below.setdefault(int(top[position]), []).append(int(position))
        for row in np.flatnonzero(unread):
            for call in reversed([c for c in below.get(rows[row], []) if c != rows[row]]):
                try:
                    prompt = input_prompt(spans.inputs.iloc[call])
                    completion = output_text(spans.outputs.iloc[call])
                except (Unreadable, RecursionError):
                    continue
                prompts[row] = prompt if prompts[row] is None else prompts[row]
                completions[row] = completion if completions[row] is None else completions[row]
                for mask in bad.values():
                    mask[row] = False
                break
            else:
                if _is_missing(inputs.iloc[row]):  # the assistant spoke first
                    prompts[row] = ""
                    bad["unreadable prompt"][row] = False
    left_out = LeftOut(spans.ids.iloc[rows], reading.on_error)
    for reason, mask in bad.items():
        left_out.drop(mask, reason)
    return prompts, completions, left_out


def _read_present(read, value: Any) -> Any:
    """Read a value, or raise if it is missing: a call below may hold the messages."""
    if _is_missing(value):
        raise Unreadable("unreadable prompt")
    return read(value)


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value))


def make_scores(
    frame: pd.DataFrame,
    *,
    span: pd.Series,
    trace: pd.Series,
    conversation: pd.Series | None = None,
    name: pd.Series,
    value: pd.Series,
    kind: pd.Series,
    rater: pd.Series,
    timestamp: pd.Series,
    comment: pd.Series,
    metadata: pd.Series,
) -> pd.DataFrame:
    """Return raw scores for `find_answers`; a time that cannot be read counts as none."""
    return pd.DataFrame(
        {
            "id": span,
            "trace": trace,
            "conversation": missing(frame) if conversation is None else conversation,
            "name": name.map(str),
            "value": value,
            "kind": kind,
            "rater": rater.map(as_name, na_action="ignore"),
            "timestamp": parse_times(timestamp)[0],
            "comment": comment,
            "tags": missing(frame),
            "metadata": metadata,
        },
        index=frame.index,
    )


def as_name(value: Any) -> Any:
    """Return a list or an object, which cannot name a person or a model, as its text."""
    return str(value) if isinstance(value, list | dict | tuple | set | np.ndarray) else value


def no_scores() -> pd.DataFrame:
    """Return an empty table of raw scores."""
    return pd.DataFrame(
        {name: pd.Series(dtype=object) for name in [*SCORE_COLUMNS, "trace", "conversation"]}
    )


def no_marks() -> pd.DataFrame:
    """Return an empty table of marks."""
    return pd.DataFrame({name: pd.Series(dtype=object) for name in _MARK_COLUMNS})


def missing(frame: pd.DataFrame) -> pd.Series:
    """Return a column of missing values for each row."""
    return pd.Series(None, index=frame.index, dtype=object)


def embedded(records: pd.DataFrame, column: str, **carried: str) -> pd.DataFrame | None:
    """Return the score objects inside the records as one table, or None if there are none.

    `carried` names columns of the records that each of its scores takes, by their new names.
    """
    if column not in records.columns:
        return None
    lists = records[column].astype(object).map(decode)
    refuse_printed(
        [item for items in lists if is_list(items) for item in items[:1]], f"column {column!r}"
    )
    if any(isinstance(items, str) and items.lstrip()[:1] == "[" for items in lists):
        raise FileFormatError(
            f"The column {column!r} holds texts that are neither JSON nor Python lists: save the "
            "records as JSON or Parquet."
        )
    own = {new: records[old].tolist() for new, old in carried.items() if old in records.columns}
    objects = [
        {**{new: values[row] for new, values in own.items()}, **item}
        for row, items in enumerate(map(_as_objects, lists))
        for item in map(as_plain, items)
        if isinstance(item, Mapping)
    ]
    return pd.DataFrame(objects) if objects else None


def _as_objects(items: Any) -> list[Any]:
    """Return a list of objects as it is, and values or objects by name as objects with a name.

    Such objects are marked by ``by_name``: nothing else tells who rated.
    """
    if not isinstance(items, Mapping):
        return list(items) if is_list(items) else []
    return [
        {
            "name": name,
            "by_name": True,
            **(value if isinstance(value, Mapping) else {"value": value}),
        }
        for name, values in items.items()
        for value in (values if is_list(values) else [values])
    ]


def with_nested(records: pd.DataFrame, column: str, **carried: str) -> pd.DataFrame:
    """Return the records, followed by those that they hold in a column, at any depth."""
    tables = [records]
    while (inside := embedded(tables[-1], column, **carried)) is not None:
        tables[-1] = tables[-1].drop(columns=column)
        tables.append(inside)
    return pd.concat(tables, ignore_index=True) if len(tables) > 1 else records


def refuse_printed(values: Iterable[Any], where: str) -> None:
    """Raise if a value is the printed form of an SDK's object, such as ``id='a' value=1``.

    Raises
    ------
    FileFormatError
    """
    if any(isinstance(value, str) and _PRINTED.match(value) for value in values):
        raise FileFormatError(
            f"{where} holds the printed form of an SDK's objects, from which they cannot be read: "
            "pass the objects themselves, or save them with model_dump(mode='json') or .json()."
        )


def index_to_column(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with a named index, in which Phoenix keeps ids, as a column."""
    name = frame.index.name
    return frame.reset_index(drop=name is None or name in frame.columns)


def require(frame: pd.DataFrame, what: str, *alternatives: tuple[str, ...]) -> None:
    """Raise unless the frame has one column of each of the alternatives."""
    missing = [names for names in alternatives if not set(names) & set(frame.columns)]
    if missing:
        wanted = ", ".join(" or ".join(map(repr, names)) for names in missing)
        raise FileFormatError(
            f"{what} need the column {wanted}; the columns are {sorted(map(str, frame.columns))}."
        )
