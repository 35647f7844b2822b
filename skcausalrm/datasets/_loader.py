"""Feedback logs from files, tables and the exports of tracing tools: `load_feedback`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd

from .._utils._warnings import warn
from ..exceptions import (
    AssumptionWarning,
    DataLossWarning,
    FeedbackError,
    FileFormatError,
    InvalidInputError,
    UnusedParameterError,
)
from ._exports import Export
from ._merge import group_by_opening, merge_logs
from ._plain import PLAIN_FORMATS, read_plain
from ._roles import Names, join
from ._sources import read_records, split_sources
from ._tools import READERS
from ._values import is_sequence, parse_times

FORMATS = (*PLAIN_FORMATS, *READERS)
_COLUMNS = (
    "prompt", "completion", "feedback", "verified", "asked", "judge_score",
    "group", "user", "model", "timestamp", "comment", "id",
)  # fmt: skip
# Text for each count of rows or scores that an import changed or left out.
_LOSSES = {
    "n_repeated": "repeated answers of which the last was kept",
    "n_duplicates": "rows that an earlier source holds too, which were dropped ({duplicates})",
    "n_conflicts": "contradictions between these rows (the later rating counts if both are dated, "
    "else the earlier source)",
    "n_unanswered": "traces without an output, which were left out",
    "n_unmatched": "scores of answers that are not in the source, which were left out",
    "n_superseded": "scores superseded by a later one of the same answer",
    "n_outvoted": "verified answers decided by the majority of people who disagree",
    "n_undecided": "answers on which people are evenly split, which are left unverified",
    "n_asked_by_answer": "asked answers that only their feedback marks, so that the asked who "
    "gave none look like rows that nobody asked about (mark the trace instead)",
    "n_other_scores": "scores that are neither feedback nor named for another column",
}


def load_feedback(
    source: Any,
    *,
    scores: Any = None,
    format: str = "auto",
    feedback_name: str | None = None,
    verified_name: str | None = None,
    asked_name: str | None = None,
    judge_score_name: str | None = None,
    labels: Mapping[Any, float | None] | None = None,
) -> pd.DataFrame:
    """Load feedback logs, rated and unrated rows alike, from the exports of common tools.

    Parameters
    ----------
    source : path, DataFrame, datasets.Dataset, list of dict, or list of these
        The answers: a JSONL, JSON, CSV or Parquet file, or records in memory. For a tracing tool
        the traces, runs, spans or chats. A list of several sources is loaded as one log.
    scores : like `source`, default=None
        The feedback on these answers, if the tool exports it to another file: Langfuse scores,
        LangSmith feedback, Phoenix annotations, OpenTelemetry logs, Open WebUI feedback. It is
        left-joined, so that answers without feedback stay.
    format : {"auto", "plain", "trl", "chat", "langfuse", "langsmith", "phoenix", "otel", \
            "open-webui"}, default="auto"
        Format of every source. "auto" detects it from the columns.
    feedback_name : str or None, default=None
        Column or score that holds the users' feedback. None takes the column ``feedback`` or
        ``label``, or the only score by users.
    verified_name : str or None, default=None
        Column or score in which a careful person judged the answer. None takes the column
        ``verified``, and no score. A score made by a model is refused.
    asked_name : str or None, default=None
        Mark of the answers that users, drawn at random, were asked about: a column; or a tag or
        metadata key of the trace, a score of its own, or a metadata key of the feedback. None
        takes the column ``asked``, and no mark.
    judge_score_name : str or None, default=None
        Column or score that becomes ``judge_score``. None takes the column ``judge_score``, or
        the only score by models.
    labels : dict or None, default=None
        Meaning of further spellings of labels, such as ``{"thumbs_up": 1, "skip": None}``.

    Returns
    -------
    DataFrame
        One row per answer, with the columns

        - ``prompt`` : str, or list of messages if there are several;
        - ``completion`` : str;
        - ``feedback`` : 1.0, 0.0, or NaN for none;
        - ``group`` : the source's ``group`` or ``prompt_id``, else an integer that is equal
          where the first user message is equal;

        and, if the source has them, ``verified`` (1.0, 0.0, NaN), ``asked`` (bool),
        ``judge_score`` (in [0, 1]), ``user``, ``model``, ``timestamp`` (UTC), ``comment``, ``id``.
        Other columns of plain sources are kept. ``attrs["load_feedback"]`` holds the format and
        the counts of rows and scores that were changed or left out.

    Raises
    ------
    FileFormatError
        If the format is not recognised, several sources have different formats, a column is
        missing or occurs twice, ``feedback`` and ``label`` disagree, a record is malformed, there
        is no answer, a name is ambiguous, absent, or given for two columns, `verified_name` is a
        model's score, or scores are given without the answers that nobody rated.
    FeedbackError
        If a label is not true, false, 1, 0, -1 or empty, a mark of the asked is not true, false,
        1, 0 or empty, or a judge score is outside [0, 1].
    InvalidInputError
        If a completion is empty or a chat does not end with the assistant's message.
    UnusedParameterError
        If `scores` are given to a format that has its feedback in the rows.
    ValueError
        If `format` is unknown.
    TypeError
        If a source is of another type.
    FileNotFoundError
        If a file does not exist.

    Warns
    -----
    AssumptionWarning
        If every row is rated.
    DataLossWarning
        If rows are in two sources, scores were superseded by later ones, match no answer, or were
        left out, people disagree on ``verified``, only feedback marks the asked, texts held
        unpaired surrogates, or one of ``feedback`` and ``label`` is empty.

    Notes
    -----
    The label ``-1`` is negative. The last of several scores of an answer counts, by timestamp;
    a score without one counts as the earliest. For ``verified`` the last verdict of each person
    counts, then the majority. A tie leaves the answer unverified: ask one more person, because
    without the disputed answers the verified ones are no longer a random sample. Scores by a
    model are never feedback and never verified. An asked answer without feedback keeps ``asked``
    True.

    Several plain sources may overlap, as two monthly exports do. A row that an earlier source
    holds is dropped and counted: it has equal texts and an equal id; if one of the rows has no
    id, equal texts and an equal user (if both sources have users). If both rows are rated and
    dated, the later rating is kept. Otherwise the earlier source's row is kept, unless only the
    other one is rated. Empty fields are filled from the dropped row. Equal rows within one source
    are kept. If a source has no groups, rows with an equal first user message or an equal group
    share a group. The sources of a tracing tool are read as one export.

    docs/feedback_formats.md describes each format.

    Examples
    --------
    >>> from skcausalrm.datasets import load_feedback
    >>> logs = load_feedback([
    ...     {"prompt": "2+2?", "completion": "4", "feedback": True},
    ...     {"prompt": "2+2?", "completion": "5", "feedback": -1},
    ...     {"prompt": "3+3?", "completion": "6", "feedback": None},
    ... ])
    >>> logs[["completion", "feedback", "group"]]
      completion  feedback  group
    0          4       1.0      0
    1          5       0.0      0
    2          6       NaN      1

    Two exports that overlap. The rating that was given meanwhile is kept:

    >>> import warnings
    >>> may = [{"prompt": "2+2?", "completion": "4", "feedback": None}]
    >>> june = [
    ...     {"prompt": "2+2?", "completion": "4", "feedback": True},
    ...     {"prompt": "3+3?", "completion": "7", "feedback": None},
    ... ]
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")  # 1 row that an earlier source holds too
    ...     logs = load_feedback([may, june])
    >>> logs[["completion", "feedback", "group"]]
      completion  feedback  group
    0          4       1.0      0
    1          7       NaN      1

    Traces and scores of a tracing tool, here Langfuse. Users were asked about the tagged traces,
    whether they answered or not, and a colleague judged one of them:

    >>> traces = [
    ...     {"id": "a", "input": "2+2?", "output": "4", "tags": ["survey"]},
    ...     {"id": "b", "input": "2+3?", "output": "5", "tags": ["survey"]},
    ...     {"id": "c", "input": "3+3?", "output": "7", "tags": []},
    ... ]
    >>> scores = [
    ...     {"traceId": "b", "name": "thumbs", "value": 0, "source": "API"},
    ...     {"traceId": "b", "name": "correct", "value": 1, "source": "ANNOTATION"},
    ... ]
    >>> logs = load_feedback(traces, scores=scores, verified_name="correct", asked_name="survey")
    >>> logs[["completion", "feedback", "verified", "asked"]]
      completion  feedback  verified  asked
    0          4       NaN       NaN   True
    1          5       0.0       1.0   True
    2          7       NaN       NaN  False
    """
    if format not in ("auto", *FORMATS):
        raise ValueError(f"format={format!r} is unknown; choose one of {('auto', *FORMATS)}.")
    sources = [(name, read_records(item, name)) for name, item in split_sources(source)]
    given = [] if scores is None else split_sources(scores, "scores")
    score_tables = [read_records(item, name) for name, item in given]
    tables = [table for _, table in sources]
    n_repaired = sum(table.attrs.pop("n_repaired") for table in tables + score_tables)
    formats = [_detect(table) if format == "auto" else format for table in tables]
    chosen = _one_format(formats)
    names = Names(feedback_name, verified_name, asked_name, judge_score_name)
    if chosen in READERS:
        export = _read_export(chosen, tables, score_tables)
        frame, counts = join(export, names, labels)
        frame = _check_rows(frame, chosen)
    else:
        if scores is not None:
            raise UnusedParameterError(
                f"scores was given, but the format {chosen!r} has its feedback in the rows "
                "themselves: leave it out or name another format."
            )
        frames = []
        for (name, table), one in zip(sources, formats, strict=True):
            with _naming(name if len(sources) > 1 else None):
                rows = _check_rows(read_plain(table, one, names, labels), one)
            frames.append(rows)
        frame, counts = merge_logs(frames, [name for name, _ in sources])
    if n_repaired:
        counts["n_repaired"] = n_repaired
    return _finish(frame, chosen, counts)


def _detect(records: pd.DataFrame) -> str:
    columns = {*map(str, records.columns), str(records.index.name)}
    signs: tuple[tuple[str, tuple[str, ...]], ...] = (
        ("otel", ("resourceSpans",)),
        ("otel", ("resourceLogs",)),
        ("open-webui", ("snapshot", "meta")),
        ("open-webui", ("chat", "user_id")),
        ("phoenix", ("annotator_kind",)),
        ("phoenix", ("context.span_id",)),
        ("phoenix", ("context", "span_kind")),
        ("langsmith", ("run_id", "key")),
        ("langsmith", ("inputs", "outputs")),
        ("langfuse", ("traceId", "name", "value")),
        ("langfuse", ("trace_id", "name", "value")),
        ("langfuse", ("id", "input", "output")),
        ("plain", ("prompt", "completion", "feedback")),
        ("trl", ("prompt", "completion", "label")),
        ("chat", ("messages",)),
        ("plain", ("prompt", "completion")),
    )
    for name, needed in signs:
        if columns.issuperset(needed):
            return name
    raise FileFormatError(
        f"The format is not recognised by the columns {sorted(map(str, records.columns))}: rename "
        "them to prompt, completion and feedback, or name one of the formats "
        f"{', '.join(FORMATS)}."
    )


def _one_format(formats: list[str]) -> str:
    """Return the common format of all sources; plain ones may differ."""
    kinds = set(formats)
    if len(kinds) == 1:
        return formats[0]
    if kinds <= set(PLAIN_FORMATS):
        return "plain"
    raise FileFormatError(
        f"The sources have the formats {sorted(kinds)}, which cannot be read as one export: load "
        "those of each tool by themselves, and pass the resulting DataFrames as a list."
    )


def _read_export(
    format: str, tables: list[pd.DataFrame], score_tables: list[pd.DataFrame]
) -> Export:
    records = _concat(tables)
    _refuse_scores_alone(records, format)
    try:
        return READERS[format](records, _concat(score_tables) if score_tables else None)
    except (AttributeError, KeyError, TypeError) as error:
        what = f"the key {error} is missing" if isinstance(error, KeyError) else error
        raise FileFormatError(
            f"A record of the {format} export is malformed ({what}): repair or drop it, or "
            "export again."
        ) from error


def _concat(tables: list[pd.DataFrame]) -> pd.DataFrame:
    if len(tables) == 1:
        return tables[0]
    # Phoenix keeps ids in a named index.
    return pd.concat(tables, ignore_index=tables[0].index.name is None)


def _refuse_scores_alone(records: pd.DataFrame, format: str) -> None:
    columns = set(records.columns)
    alone = {
        "otel": "resourceSpans" not in columns,
        "phoenix": "annotator_kind" in columns,
        "langsmith": "run_id" in columns and "inputs" not in columns,
        "langfuse": "value" in columns and "input" not in columns,
        "open-webui": False,  # its feedback holds the chats; it loads, with a warning
    }[format]
    if alone:
        raise FileFormatError(
            f"source holds {format} scores alone ({len(records)} records), so only rated answers, "
            "and their selection cannot be corrected: pass the traces as source and these as "
            "scores."
        )


@contextmanager
def _naming(source: str | None) -> Iterator[None]:
    """Put the name of one of several sources before an error's message."""
    try:
        yield
    except (FeedbackError, FileFormatError, InvalidInputError) as error:
        if source is None:
            raise
        raise type(error)(f"{source}: {error}") from error


def _check_rows(frame: pd.DataFrame, format: str) -> pd.DataFrame:
    """Return the rows with parsed times, numbered from 0; refuse rows without text."""
    if frame.empty:
        raise FileFormatError(
            f"The {format} export holds no answer, so there is nothing to load: export traces "
            "that have an output."
        )
    frame = frame.reset_index(drop=True)
    for column, may_be_empty in (("completion", False), ("prompt", True)):
        bad = _without_text(frame[column], may_be_empty)
        if bad.any():
            raise InvalidInputError(
                f"{int(bad.sum())} of {len(frame)} {column}s are "
                f"{'missing' if may_be_empty else 'empty'} or hold no text (first at row "
                f"{int(np.argmax(bad))}): drop these rows before loading."
            )
    if "timestamp" in frame.columns:
        frame["timestamp"] = parse_times(frame["timestamp"])
    return frame


def _finish(frame: pd.DataFrame, format: str, counts: dict[str, Any]) -> pd.DataFrame:
    """Return the frame with groups, ordered columns and counts; warn of what was lost."""
    if "group" not in frame.columns:
        frame["group"] = group_by_opening(frame["prompt"])
    first = [name for name in _COLUMNS if name in frame.columns]
    frame = frame[[*first, *(name for name in frame.columns if name not in first)]]
    frame.attrs["load_feedback"] = {"format": format, **counts}

    dropped = counts.get("duplicates", {}).items()
    duplicates = ", ".join(f"{count} in {name}" for name, count in dropped)
    found = [
        f"{counts[name]} {text.format(duplicates=duplicates)}"
        for name, text in _LOSSES.items()
        if counts.get(name)
    ]
    if found:
        warn(
            f"The import of {len(frame)} answers found {'; '.join(found)}.",
            DataLossWarning,
            "import",
        )
    if frame["feedback"].notna().all():
        warn(
            f"All {len(frame)} rows are rated, so there is no selection to correct: load the "
            "answers without feedback too (traces, runs, chats) and pass the feedback as scores.",
            AssumptionWarning,
            "no-unrated-rows",
        )
    return frame


def _without_text(turns: pd.Series, may_be_empty: bool) -> np.ndarray:
    def one(turn: Any) -> bool:
        if isinstance(turn, str):
            return not may_be_empty and not turn.strip()
        return not is_sequence(turn) or (not may_be_empty and len(turn) == 0)

    return np.fromiter(map(one, turns), dtype=bool, count=len(turns))
