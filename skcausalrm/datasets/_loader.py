"""Feedback logs from files, tables and the exports of tracing tools: `load_feedback`."""

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pandas as pd

from ..exceptions import (
    FeedbackError,
    FileFormatError,
    InvalidInputError,
    UnusedParameterError,
)
from ._finishing import finish_log
from ._formats import FORMATS, detect_format, one_format
from ._left_out import add_summaries
from ._merge import merge_logs
from ._plain import feedback_columns, read_plain
from ._roles import Names, join
from ._sources import read_records, split_sources
from ._spans import Export, Reading, index_to_column
from ._tools import TOOLS
from ._tools._tool import Tool
from ._values import is_signed, parse_times


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
    prompt_column: str | None = None,
    completion_column: str | None = None,
    prompt_key: str | None = None,
    completion_key: str | None = None,
    on_error: str = "omit",
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
    format : {"auto", "plain", "trl", "chat", "langfuse", "langsmith", "opik", "phoenix", "otel", \
            "mlflow", "weave", "open-webui", "librechat", "chainlit", "dify", "oasst", \
            "argilla", "label-studio"}, default="auto"
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
        Meaning of further spellings of labels, such as ``{"5 stars": 1, "skip": None}``, or of
        known ones: ``{0: 0}`` makes zeros dislikes where -1 occurs too.
    prompt_column, completion_column : str or None, default=None
        Columns of a plain source that hold the texts. None takes ``prompt`` and ``completion``, or
        common other names: ``question``, ``input``, ``answer``, ``output``, ``response``, ...
    prompt_key, completion_key : str or None, default=None
        Dotted path of the text inside the values of these columns, or inside the inputs and
        outputs of traces, such as ``"question"`` or ``"messages.0.content"``.
    on_error : {"omit", "raise"}, default="omit"
        Whether to leave out rows that cannot be read, and count them by reason with their ids, or
        to raise at the first reason.

    Returns
    -------
    DataFrame
        One row per answer, with the columns

        - ``prompt`` : str, or list of messages if there are several;
        - ``completion`` : str;
        - ``feedback`` : 1.0, 0.0, or NaN for none;
        - ``group`` : the source's ``group``, else an integer for each conversation; without
          conversations the source's ``prompt_id``, else an integer that is equal where the first
          user message is equal (a greeting that unlike chats share does not group them);

        and, if the source has them, ``verified`` (1.0, 0.0, NaN), ``asked`` (bool),
        ``judge_score`` (in [0, 1]), ``conversation``, ``turn`` (user messages up to the answer),
        ``user``, ``model``, ``timestamp`` (UTC), ``comment``, ``tags``, ``next_message`` (what the
        user wrote next), ``copied``, ``shared``, ``thanked``, ``regenerated``, ``rephrased``,
        ``edited``, ``complained``, ``abandoned`` (1.0, 0.0, NaN where it could not be seen; see
        Notes), ``latency`` (seconds), ``prompt_tokens``, ``completion_tokens``, ``id``. Other
        columns of plain sources are kept.
        ``attrs["load_feedback"]`` holds the format, the columns read, the counts of rows and
        scores that were changed, and ``left_out``: the count and first ids of each reason.

    Raises
    ------
    FileFormatError
        If the format is not recognised, several sources have different formats, a column is
        missing or occurs twice, ``feedback`` and ``label`` disagree, an export is malformed, no
        answer can be read, a name is ambiguous, absent, or given for two columns,
        `verified_name` is a model's score, or scores are given without the unrated answers.
    FeedbackError
        If more than a tenth of the labels, of the marks of the asked or of the judge scores
        cannot be read, or any label with ``on_error="raise"``.
    InvalidInputError
        If a row cannot be read and ``on_error="raise"``.
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
        If every row is rated, or none.
    DataLossWarning
        If rows cannot be read, columns that look like ratings are not used, rows are in two
        sources, scores were superseded by later ones, match no answer, or were left out, people
        disagree on ``verified``, only feedback marks the asked, texts held unpaired surrogates, or
        one of ``feedback`` and ``label`` is empty.

    Notes
    -----
    Labels are true, false, 1, 0, -1, and common words such as "thumbs_up" and "dislike". The label
    -1 is negative; where it occurs, 0 means no rating.

    The last of several scores of an answer counts, by timestamp; a score without one counts as the
    earliest. For ``verified`` the last verdict of each person counts, then the majority. A tie
    leaves the answer unverified: ask one more person, because without the disputed answers the
    verified ones are no longer a random sample. Scores by a model are never feedback and never
    verified. An asked answer without feedback keeps ``asked`` True.

    Several plain sources may overlap, as two monthly exports do. A row that an earlier source
    holds is dropped and counted: it has equal texts and an equal id; if one of the rows has no
    id, equal texts and an equal user (if both sources have users). If both rows are rated and
    dated, the later rating is kept. Otherwise the earlier source's row is kept, unless only the
    other one is rated. Empty fields are filled from the dropped row. Equal rows within one source
    are kept. If a source has no groups, rows with an equal first user message or an equal group
    share a group. The sources of a tracing tool are read as one export.

    What users did with an answer is read from columns, and in tracing tools from users' scores, of
    these names. ``thanked`` and ``complained`` are otherwise told by the beginning of the next
    message, by a list of English phrases: 0 for the last answer of a conversation, NaN without a
    conversation. `find_signals` returns those that are safe to use.

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
    if on_error not in ("omit", "raise"):
        raise ValueError(f"on_error={on_error!r} is unknown; choose 'omit' or 'raise'.")
    with _paused_collection():
        sources = [(name, read_records(item, name)) for name, item in split_sources(source)]
        given = [] if scores is None else split_sources(scores, "scores")
        score_tables = [read_records(item, name) for name, item in given]
        tables = [table for _, table in sources]
        n_repaired = sum(table.attrs.pop("n_repaired") for table in tables + score_tables)
        names = Names(
            feedback_name,
            verified_name,
            asked_name,
            judge_score_name,
            prompt_column,
            completion_column,
        )
        formats = [detect_format(table, names) if format == "auto" else format for table in tables]
        chosen = one_format(formats)
        reading = Reading(prompt_key, completion_key, on_error)
        facts: dict[str, Any] = {"n_records": sum(map(len, tables))}
        if scores is not None and (chosen not in TOOLS or TOOLS[chosen].scores_inside):
            raise UnusedParameterError(
                f"scores was given, but the format {chosen!r} has its feedback in the rows "
                "themselves: leave it out or name another format."
            )
        if chosen in TOOLS:
            export = _read_export(TOOLS[chosen], tables, score_tables, reading)
            frame, counts = join(export, names, labels, on_error)
            facts |= counts
            frame = _with_times(frame, facts)
        else:
            frame = _read_plain_logs(sources, formats, names, labels, reading, facts)
        if n_repaired:
            facts["n_repaired"] = n_repaired
        return finish_log(frame, chosen, facts)


def _read_plain_logs(
    sources: list[tuple[str, pd.DataFrame]],
    formats: list[str],
    names: Names,
    labels: Mapping[Any, float | None] | None,
    reading: Reading,
    facts: dict[str, Any],
) -> pd.DataFrame:
    """Return the rows of plain sources as one log, and add what happened to them to `facts`."""
    facts |= {"left_out": {}, "columns": {}, "score_like": []}
    frames = []
    # One export of a month may hold no dislike: the spellings of all sources decide.
    columns = [
        table[name] for _, table in sources for name in feedback_columns(table, names, labels)
    ]
    signed = is_signed(columns, labels)
    for (name, table), one in zip(sources, formats, strict=True):
        with _naming(name if len(sources) > 1 else None):
            log = read_plain(table, one, names, labels, reading, signed=signed)
        facts["left_out"] = add_summaries(facts["left_out"], log.left_out)
        facts["columns"] |= log.columns
        facts["score_like"] = list(dict.fromkeys([*facts["score_like"], *log.score_like]))
        for key, count in log.counts.items():
            facts[key] = facts.get(key, 0) + count
        frames.append(_with_times(log.frame, facts))
    frames = [frame for frame in frames if len(frame)] or frames[:1]
    frame, counts = merge_logs(frames, [name for name, _ in sources])
    facts |= counts
    return frame


def _read_export(
    tool: Tool, tables: list[pd.DataFrame], score_tables: list[pd.DataFrame], reading: Reading
) -> Export:
    records = _concat(tables)
    if tool.scores_alone({*map(str, records.columns)}):
        raise FileFormatError(
            f"source holds {tool.name} scores alone ({len(records)} records), so only rated "
            "answers, and their selection cannot be corrected: pass the traces as source and these "
            "as scores."
        )
    try:
        return tool.read(records, _concat(score_tables) if score_tables else None, reading)
    except (AttributeError, KeyError, RecursionError, TypeError) as error:
        what = f"the key {error} is missing" if isinstance(error, KeyError) else error
        raise FileFormatError(
            f"A record of the {tool.name} export is malformed ({what}): repair or drop it, or "
            "export again."
        ) from error


def _concat(tables: list[pd.DataFrame]) -> pd.DataFrame:
    if len(tables) == 1:
        return tables[0]
    # Phoenix keeps ids in a named index.
    return pd.concat(map(index_to_column, tables), ignore_index=True)


@contextmanager
def _paused_collection() -> Iterator[None]:
    """Pause the garbage collector, which visits all records read so far again and again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def _naming(source: str | None) -> Iterator[None]:
    """Put the name of one of several sources before an error's message."""
    try:
        yield
    except (FeedbackError, FileFormatError, InvalidInputError) as error:
        if source is None:
            raise
        raise type(error)(f"{source}: {error}") from error


def _with_times(frame: pd.DataFrame, facts: dict[str, Any]) -> pd.DataFrame:
    """Return the rows with parsed times, numbered from 0; count the times that cannot be read."""
    frame = frame.reset_index(drop=True)
    if "timestamp" in frame.columns:
        frame["timestamp"], bad = parse_times(frame["timestamp"])
        facts["n_unreadable_times"] = facts.get("n_unreadable_times", 0) + int(bad.sum())
    return frame
