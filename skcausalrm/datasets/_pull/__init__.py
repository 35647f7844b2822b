"""Answers and feedback fetched from the servers of common tools: `pull_feedback`."""

import inspect
from collections.abc import Callable
from datetime import date, datetime, timedelta
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd

from ...exceptions import FeedbackError, FileFormatError, InvalidInputError, UnusedParameterError
from .._loader import load_feedback
from ._part_folder import PartFolder
from ._plain_file import write_plain
from ._source import Source

__all__ = ["TOOLS", "pull_feedback"]

TOOLS = {
    "phoenix": "_phoenix",
    "mlflow": "_mlflow",
    "langfuse": "_langfuse",
    "langsmith": "_langsmith",
    "open-webui": "_open_webui",
}
_WITHOUT_PROJECTS = {
    "langfuse": "the keys belong to one project",
    "open-webui": "a server has no projects",
}
# Answers may be logged as several records: those of an answer's whole trace begin within this
# time. Earlier answers are dropped after loading.
_LONGEST_TRACE = timedelta(hours=1)


def pull_feedback(
    tool: str,
    out: str | Path,
    *,
    since: str | date | None = None,
    project: str | None = None,
    overwrite: bool = False,
    progress: Callable[[str], Any] | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Fetch the answers and the feedback of a tool's server into one Parquet file.

    The tool's own client fetches page by page into the folder ``<out>.part``. A pull that was
    killed continues there when called again. The folder is deleted once `out` is written.

    The server's address and the credentials come from the tool's own environment variables:

    - Phoenix: ``PHOENIX_COLLECTOR_ENDPOINT``, ``PHOENIX_API_KEY``;
    - MLflow: ``MLFLOW_TRACKING_URI``, ``MLFLOW_TRACKING_TOKEN`` or ``MLFLOW_TRACKING_USERNAME``
      and ``MLFLOW_TRACKING_PASSWORD``;
    - Langfuse: ``LANGFUSE_BASE_URL``, ``LANGFUSE_PUBLIC_KEY``, ``LANGFUSE_SECRET_KEY``;
    - LangSmith: ``LANGSMITH_ENDPOINT``, ``LANGSMITH_API_KEY``;
    - Open WebUI: ``OPEN_WEBUI_URL``, ``OPEN_WEBUI_API_KEY``.

    Credentials are neither written nor part of a message.

    Parameters
    ----------
    tool : {"phoenix", "mlflow", "langfuse", "langsmith", "open-webui"}
        The tool. Its client is the extra of the same name.
    out : path
        Parquet file to write.
    since : str or date, default=None
        ISO date or time of the first answer, UTC unless it names a zone. None fetches all.
    project : str or None, default=None
        Phoenix project, MLflow experiment or LangSmith project. None takes the one that the
        tool's environment variables name, else the tool's default. The keys of Langfuse belong to
        one project, and Open WebUI has none.
    overwrite : bool, default=False
        Replace an existing file `out`.
    progress : callable or None, default=None
        Called with one line of text after each page.
    **options
        Options of `load_feedback`, such as ``feedback_name``, ``verified_name``, ``asked_name``,
        ``judge_score_name`` or ``labels``.

    Returns
    -------
    DataFrame
        The log, as `load_feedback` returns it. ``load_feedback(out)`` returns the same rows and
        columns. ``attrs["load_feedback"]`` holds the counts of what was left out;
        ``"n_before_since"`` there counts answers before `since`.

    Raises
    ------
    ValueError
        If `tool` is unknown.
    TypeError
        If an option is not one of `load_feedback`.
    InvalidInputError
        If `since` is no ISO date, or the server does not know the project.
    UnusedParameterError
        If a tool without projects is given one, or ``<out>.part`` holds a pull of other answers.
    FileExistsError
        If `out` exists and `overwrite` is False.
    NotADirectoryError
        If there is no folder to write `out` into.
    MissingExtraError
        If the tool's client is not installed.
    PermissionError
        If credentials are missing, or the server refuses them.
    ConnectionError
        If the server cannot be reached, or fails even after the client's retries.
    FileFormatError
        If there is no answer, or ``<out>.part`` is damaged.

    See Also
    --------
    load_feedback : Load files and tables.

    Notes
    -----
    If the fetched records cannot be loaded, for instance because two scores may be the feedback,
    the folder of pages stays, and a call with other `options` fetches nothing again.

    Examples
    --------
    >>> from skcausalrm.datasets import pull_feedback
    >>> logs = pull_feedback(  # doctest: +SKIP
    ...     "phoenix", "logs.parquet", since="2026-11-01", feedback_name="user feedback"
    ... )
    """
    if tool not in TOOLS:
        raise ValueError(f"tool={tool!r} is unknown; choose one of {', '.join(TOOLS)}.")
    if project is not None and tool in _WITHOUT_PROJECTS:
        raise UnusedParameterError(
            f"project={project!r} was given, but {_WITHOUT_PROJECTS[tool]}: leave it out."
        )
    known = set(inspect.signature(load_feedback).parameters) - {"source", "scores", "format"}
    if unknown := sorted(options.keys() - known):
        raise TypeError(f"{unknown[0]!r} is no option of load_feedback: {', '.join(sorted(known))}")
    out = Path(out)
    if not out.parent.is_dir():
        raise NotADirectoryError(f"{out} cannot be written, because {out.parent} is no folder.")
    if out.exists() and not overwrite:
        raise FileExistsError(f"{out} exists: allow to overwrite it, or choose another path.")
    start = _parse_start(since)
    connect = import_module(f".{TOOLS[tool]}", __name__).connect
    source: Source = connect(project, None if start is None else start - _LONGEST_TRACE)

    folder = PartFolder(
        out.with_name(out.name + ".part"),
        {
            "tool": tool,
            "server": source.server,
            "project": source.project,
            "since": None if start is None else start.isoformat(),
        },
    )
    _fetch(source, folder, progress or (lambda line: None))
    frame = _load(source, folder, start, options)
    write_plain(frame, out)
    folder.remove()
    return frame


def _parse_start(since: str | date | None) -> pd.Timestamp | None:
    if since is None:
        return None
    if isinstance(since, date) and not isinstance(since, datetime):
        since = since.isoformat()
    try:
        start = pd.Timestamp(
            since if isinstance(since, datetime) else datetime.fromisoformat(since)
        )
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            f"since={since!r} is no ISO date or time: write it as 2026-11-01 or 2026-11-01T09:30."
        ) from error
    return start.tz_localize("UTC") if start.tzinfo is None else start.tz_convert("UTC")


def _fetch(source: Source, folder: PartFolder, progress: Callable[[str], Any]) -> None:
    """Fetch the pages that the folder lacks."""
    if folder.pages(next(iter(source.stages))):
        progress(f"continuing the pull of {folder.request['began']}")
    for name, stage in source.stages.items():
        cursor, finished = folder.position(name)
        total = 0
        while not finished:
            with source.explaining():
                records, cursor = stage(cursor, folder)
            folder.add(name, records, cursor)
            finished = cursor is None
            total += len(records)
            progress(f"{name.replace('_', ' ')}: {total}")


def _load(
    source: Source, folder: PartFolder, start: pd.Timestamp | None, options: dict[str, Any]
) -> pd.DataFrame:
    nothing = FileFormatError(
        f"{source.title} at {source.server} has no answers"
        + (f" in the project {source.project!r}" if source.project else "")
        + (f" since {start.isoformat()}" if start is not None else "")
        + ", so there is nothing to load."
    )
    answers = list(folder.records(source.answers))
    if not answers:
        folder.remove()
        raise nothing
    scores = list(chain.from_iterable(folder.records(name) for name in source.scores))
    try:
        frame = load_feedback(answers, scores=scores or None, format=source.tool, **options)
    except (FeedbackError, FileFormatError, InvalidInputError, UnusedParameterError) as error:
        raise type(error)(
            f"{error} The fetched pages stay in {folder.path}: another call fetches none again."
        ) from error
    if start is not None and "timestamp" in frame.columns:
        before = frame["timestamp"] < start
        counts = frame.attrs["load_feedback"]
        frame = frame[~before].reset_index(drop=True)
        frame.attrs["load_feedback"] = counts | {"n_before_since": int(before.sum())}
        if frame.empty:
            folder.remove()
            raise nothing
    return frame
