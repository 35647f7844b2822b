"""Feedback logs from files, tables and the exports of tracing tools: `load_feedback`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from .._utils._warnings import warn
from ..exceptions import (
    AssumptionWarning,
    DataLossWarning,
    FileFormatError,
    InvalidInputError,
    UnusedParameterError,
)
from ._roles import Names, join, rename_columns
from ._sources import read_records
from ._tools import READERS
from ._values import (
    as_messages,
    is_sequence,
    parse_flags,
    parse_json,
    parse_labels,
    parse_times,
    parse_unit_interval,
    simplify_prompt,
    split_messages,
)

PLAIN_FORMATS = ("plain", "trl", "chat")
FORMATS = (*PLAIN_FORMATS, *READERS)
_COLUMNS = (
    "prompt", "completion", "feedback", "verified", "asked", "judge_score",
    "group", "user", "model", "timestamp", "comment", "id",
)  # fmt: skip


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
    """Load feedback logs, rated and unrated rows alike, from what tools export.

    Parameters
    ----------
    source : path, list of paths, DataFrame, datasets.Dataset or list of dict
        The answers: a JSONL, JSON, CSV or Parquet file, or records in memory. For a tracing tool
        the traces, runs, spans or chats.
    scores : like `source`, default=None
        What was said about them, where the tool exports it apart: Langfuse scores, LangSmith
        feedback, Phoenix annotations, OpenTelemetry logs, Open WebUI feedback. Left-joined, so
        that answers nobody rated stay.
    format : str, default="auto"
        "plain", "trl", "chat", "langfuse", "langsmith", "phoenix", "otel" or "open-webui";
        "auto" tells by the columns.
    feedback_name : str or None, default=None
        What is the user's feedback: the column, or the name (key) of the score. None takes the
        column ``feedback`` or ``label``, or the only score by users.
    verified_name : str or None, default=None
        Where a careful person judged the answer: the column, or the name of the score. None
        takes the column ``verified``, and no score. A score made by a model is refused.
    asked_name : str or None, default=None
        What marks the answers that users, drawn at random, were asked about: the column; or a
        tag or a key of the metadata of the trace, a score of its own, or a key of the metadata
        of the feedback. None takes the column ``asked``, and no mark.
    judge_score_name : str or None, default=None
        The column or the score that becomes ``judge_score``. None takes the column
        ``judge_score``, or the only score by models.
    labels : dict or None, default=None
        Meaning of further spellings of labels, such as ``{"thumbs_up": 1, "skip": None}``.

    Returns
    -------
    DataFrame
        One row per answer, with the columns

        - ``prompt`` : str, or list of messages where there are several;
        - ``completion`` : str;
        - ``feedback`` : 1.0, 0.0, or NaN for none;
        - ``group`` : the source's ``group`` or ``prompt_id``, else an integer that is equal
          where the first user message is equal;

        and, where the source has them, ``verified`` (1.0, 0.0, NaN), ``asked`` (bool),
        ``judge_score`` (in [0, 1]), ``user``, ``model``, ``timestamp`` (UTC), ``comment``, ``id``.
        Other columns of plain sources are kept. ``attrs["load_feedback"]`` counts what the
        import superseded or left out.

    Raises
    ------
    FileFormatError
        If the format cannot be told, a column is missing or there twice, ``feedback`` and
        ``label`` disagree, a record is malformed, there is no answer, a name is ambiguous, not
        found, or given for two columns, `verified_name` is a model's score, or scores are given
        alone, without the answers that nobody rated.
    FeedbackError
        If a label is neither true, false, 1, 0, -1 nor empty, a mark of the asked neither true,
        false, 1, 0 nor empty, or a judge_score outside [0, 1].
    InvalidInputError
        If a completion is empty or a chat does not end with the assistant.
    UnusedParameterError
        If `scores` are given to a format that has its feedback in the rows.

    Warns
    -----
    AssumptionWarning
        If every row is rated.
    DataLossWarning
        If scores were superseded by later ones, match no answer, or were left out, if people
        disagree on ``verified``, if only feedback marks the asked, if texts held unpaired
        surrogates, or if one of ``feedback`` and ``label`` is empty.

    Notes
    -----
    ``-1`` is a negative label. Of several scores of one answer the last by timestamp counts; of
    ``verified`` the last by each person, and then the majority. A tie leaves the answer
    unverified: have one more person judge it, since without the disputed answers the verified
    ones are no longer a random sample. Scores by a model are never feedback and never verified.
    An asked answer without feedback keeps ``asked`` True. docs/feedback_formats.md has more.

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
    records = read_records(source)
    chosen = _detect(records) if format == "auto" else format
    if chosen not in FORMATS:
        raise ValueError(f"format={format!r} is unknown; choose one of {('auto', *FORMATS)}.")
    tables = None if scores is None else read_records(scores, "scores")
    n_repaired = sum(
        table.attrs.pop("n_repaired") for table in (records, tables) if table is not None
    )
    names = Names(feedback_name, verified_name, asked_name, judge_score_name)
    if chosen in PLAIN_FORMATS:
        if scores is not None:
            raise UnusedParameterError(
                f"scores was given, but the format {chosen!r} has its feedback in the rows "
                "themselves: leave it out or name another format."
            )
        frame = _read_plain(rename_columns(records, names), chosen, names, labels)
        counts: dict[str, int] = {}
    else:
        _refuse_scores_alone(records, chosen)
        try:
            export = READERS[chosen](records, tables)
        except (AttributeError, KeyError, TypeError) as error:
            what = f"the key {error} is missing" if isinstance(error, KeyError) else error
            raise FileFormatError(
                f"A record of the {chosen} export is malformed ({what}): repair or drop it, or "
                "export again."
            ) from error
        frame, counts = join(export, names, labels)
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
        f"The format cannot be told from the columns {sorted(map(str, records.columns))}: rename "
        "them to prompt, completion and feedback, or name one of the formats "
        f"{', '.join(FORMATS)}."
    )


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
            f"source holds {format} scores alone ({len(records)} records) and so only rated "
            "answers, with nothing to correct their selection with: pass the traces as source "
            "and these as scores."
        )


def _read_plain(
    records: pd.DataFrame, format: str, names: Names, labels: Mapping[Any, float | None] | None
) -> pd.DataFrame:
    frame = records.reset_index(drop=True)
    text = ("messages",) if format == "chat" else ("prompt", "completion")
    known = ("feedback",) if names.feedback is not None else ("feedback", "label")
    present = [name for name in known if name in frame.columns]
    needed = known[-1] if format == "trl" else next(iter(present), "feedback")
    missing = [name for name in (*text, needed) if name not in frame.columns]
    if missing:
        raise FileFormatError(
            f"The format {format!r} needs the column(s) {', '.join(missing)}, which are missing "
            f"among {sorted(map(str, frame.columns))}."
        )
    if format == "chat":
        turns = [
            split_messages(chat, f"messages of row {row}")
            for row, chat in enumerate(frame["messages"])
        ]
        frame = frame.drop(columns="messages")
        frame["prompt"], frame["completion"] = (
            pd.Series(list(side), dtype=object) for side in zip(*turns, strict=True)
        )
    else:
        frame = frame.assign(
            prompt=_plain_turns(frame["prompt"]), completion=_plain_turns(frame["completion"])
        )
    feedback = _one_feedback({name: parse_labels(frame[name], name, labels) for name in present})
    frame = frame.drop(columns=present).assign(feedback=feedback)
    if "verified" in frame.columns:
        frame["verified"] = parse_labels(frame["verified"], "verified", labels)
    if "asked" in frame.columns:
        frame["asked"] = parse_flags(frame["asked"], "asked")
    if "judge_score" in frame.columns:
        frame["judge_score"] = parse_unit_interval(frame["judge_score"], "judge_score")
    if "group" not in frame.columns and "prompt_id" in frame.columns:
        frame = frame.rename(columns={"prompt_id": "group"})
    return frame


def _one_feedback(parsed: Mapping[str, pd.Series]) -> pd.Series:
    """The parsed column that holds feedback, of ``feedback`` and ``label``."""
    if len(parsed) == 1:
        return next(iter(parsed.values()))
    filled = [name for name, values in parsed.items() if values.notna().any()]
    if len(filled) == 1:
        empty = next(name for name in parsed if name not in filled)
        warn(
            f"The column {empty!r} is empty, so feedback is read from {filled[0]!r}.",
            DataLossWarning,
            "import",
        )
        return parsed[filled[0]]
    if not parsed["feedback"].equals(parsed["label"]):
        unequal = parsed["feedback"].fillna(-1) != parsed["label"].fillna(-1)
        raise FileFormatError(
            f"The columns 'feedback' and 'label' disagree in {int(unequal.sum())} of "
            f"{len(unequal)} rows (first at row {int(np.argmax(unequal))}): drop or rename the "
            "one that is not the user's feedback."
        )
    return parsed["feedback"]


def _plain_turns(turns: pd.Series) -> pd.Series:
    """Texts as they are; chats as messages, a lone one as its text."""
    if isinstance(turns.dtype, pd.StringDtype):
        return turns

    def one(turn: Any) -> Any:
        if isinstance(turn, str) or not is_sequence(turn):
            return turn
        chat = as_messages(turn)
        if chat is None:
            return turn
        lone = len(chat) == 1 and chat[0]["role"] in ("user", "assistant")
        return chat[0]["content"] if lone else simplify_prompt(chat)

    return turns.map(one)


def _finish(frame: pd.DataFrame, format: str, counts: dict[str, int]) -> pd.DataFrame:
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
    if "group" not in frame.columns:
        frame["group"] = pd.factorize(_opening(frame["prompt"]))[0]
    first = [name for name in _COLUMNS if name in frame.columns]
    frame = frame[[*first, *(name for name in frame.columns if name not in first)]]
    frame.attrs["load_feedback"] = {"format": format, **counts}

    told = {
        "n_repeated": "repeated answers of which the last was kept",
        "n_unanswered": "traces without an output, which were left out",
        "n_unmatched": "scores of answers that are not in the source, which were left out",
        "n_superseded": "scores superseded by a later one of the same answer",
        "n_outvoted": "verified answers decided by the majority of people who disagree",
        "n_undecided": "answers on which people are evenly split, which are left unverified",
        "n_asked_by_answer": "asked answers that only their feedback marks, so that the asked "
        "who gave none pass for rows that nobody asked about (mark the trace instead)",
        "n_other_scores": "scores that are neither feedback nor named for another column",
    }
    found = [f"{counts[name]} {text}" for name, text in told.items() if counts.get(name)]
    if found:
        warn(
            f"The import of {len(frame)} answers met {'; '.join(found)}.",
            DataLossWarning,
            "import",
        )
    if frame["feedback"].notna().all():
        warn(
            f"All {len(frame)} rows are rated, so there is nothing to correct selection with: "
            "load the answers without feedback too (traces, runs, chats) and pass the feedback "
            "as scores.",
            AssumptionWarning,
            "no-unrated-rows",
        )
    return frame


def _without_text(turns: pd.Series, may_be_empty: bool) -> np.ndarray:
    if isinstance(turns.dtype, pd.StringDtype):
        empty = turns.str.strip() == ""
        return (turns.isna() | (empty & (not may_be_empty))).to_numpy(dtype=bool)

    def one(turn: Any) -> bool:
        if isinstance(turn, str):
            return not may_be_empty and not turn.strip()
        return not is_sequence(turn) or (not may_be_empty and len(turn) == 0)

    return np.fromiter(map(one, turns), dtype=bool, count=len(turns))


def _opening(prompts: pd.Series) -> np.ndarray:
    """The first user message: equal in all turns of a conversation."""
    if isinstance(prompts.dtype, pd.StringDtype):
        return prompts.to_numpy(dtype=object)

    def one(prompt: Any) -> str:
        if isinstance(prompt, str):
            return prompt
        chat = as_messages(parse_json(prompt))
        if chat is None:
            return json.dumps(prompt, default=str)
        return next((turn["content"] for turn in chat if turn["role"] == "user"), "")

    return np.array([one(prompt) for prompt in prompts], dtype=object)
