"""Runs and feedback of a LangSmith project."""

import asyncio
import functools
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from ..._utils._extras import import_extra
from ...exceptions import InvalidInputError
from ._part_folder import PartFolder
from ._source import Page, Source, in_batches, without_credentials

_RUNS_PER_PAGE = 100
_RUNS_PER_FEEDBACK_REQUEST = 50  # ids travel in the address
_EARLIEST = datetime(2020, 1, 1, tzinfo=UTC)  # by default the server returns the last day only
_FIELDS = [
    *("ID", "NAME", "RUN_TYPE", "STATUS", "START_TIME", "END_TIME", "ERROR", "EXTRA", "METADATA"),
    *("INPUTS", "OUTPUTS", "PARENT_RUN_IDS", "PROJECT_ID", "TRACE_ID", "THREAD_ID", "TAGS"),
    *("DOTTED_ORDER", "IS_ROOT", "PROMPT_TOKENS", "COMPLETION_TOKENS", "FEEDBACK_STATS"),
]


def connect(project: str | None, since: datetime | None) -> Source:
    purpose = "A pull from LangSmith"
    langsmith = import_extra("langsmith", extra="langsmith", purpose=purpose)
    utils = import_extra("langsmith.utils", extra="langsmith", purpose=purpose)
    httpx = import_extra("httpx", extra="langsmith", purpose=purpose)
    requests = import_extra("requests", extra="langsmith", purpose=purpose)
    client = langsmith.Client(auto_batch_tracing=False, info={})  # no request for server facts
    name = project or os.getenv("LANGSMITH_PROJECT") or os.getenv("LANGCHAIN_PROJECT") or "default"
    # The client queries runs asynchronously only. Its own thread works in notebooks too, and one
    # event loop keeps its connections open.
    thread = ThreadPoolExecutor(1, thread_name_prefix="langsmith")
    runner = asyncio.Runner()

    @functools.cache
    def project_id() -> str:
        try:
            return str(client.read_project(project_name=name).id)
        except utils.LangSmithNotFoundError:
            raise InvalidInputError(
                f"LangSmith at {without_credentials(client.api_url)} has no project {name!r}: "
                "name another one as project, or in LANGSMITH_PROJECT."
            ) from None

    async def query(cursor: str | None) -> Any:
        return await client.runs.query(
            project_ids=[project_id()],
            min_start_time=since or _EARLIEST,
            page_size=_RUNS_PER_PAGE,
            selects=_FIELDS,
            **({} if cursor is None else {"cursor": cursor}),
        )

    def runs(cursor: str | None, folder: PartFolder) -> Page:
        page = thread.submit(runner.run, query(cursor)).result()
        return [run.model_dump(mode="json") for run in page.items], page.next_cursor or None

    def rated(folder: PartFolder) -> list[str]:
        # An empty summary says that there is no feedback; a missing one says nothing.
        return [run["id"] for run in folder.records("runs") if run.get("feedback_stats") != {}]

    def feedback(ids: Sequence[str]) -> list[dict[str, Any]]:
        return [item.model_dump(mode="json") for item in client.list_feedback(run_ids=ids)]

    return Source(
        tool="langsmith",
        title="LangSmith",
        server=without_credentials(client.api_url),
        stages={"runs": runs, "feedback": in_batches(rated, _RUNS_PER_FEEDBACK_REQUEST, feedback)},
        answers="runs",
        scores=("feedback",),
        errors=(
            *(utils.LangSmithError, langsmith.APIError, httpx.HTTPError),
            *(requests.RequestException, ValueError),
        ),
        address="LANGSMITH_ENDPOINT",
        credentials="LANGSMITH_API_KEY",
        absent="does not serve run queries v2: update the server to 0.16 or later.",
        project=name,
    )
