"""Observations and scores of a Langfuse project."""

import json
import os
from datetime import datetime
from typing import Any

from ..._utils._extras import import_extra
from ._part_folder import PartFolder
from ._source import Page, Source, without_credentials

_OBSERVATIONS_PER_PAGE = 500
_SCORES_PER_PAGE = 100  # the server's maximum
_OBSERVATION_FIELDS = "core,basic,io,metadata,model,usage,metrics,trace_context"
_CLOUD = "https://cloud.langfuse.com"


def connect(project: str | None, since: datetime | None) -> Source:
    api = import_extra("langfuse.api", extra="langfuse", purpose="A pull from Langfuse")
    errors = import_extra(
        "langfuse.api.core.api_error", extra="langfuse", purpose="A pull from Langfuse"
    )
    httpx = import_extra("httpx", extra="langfuse", purpose="A pull from Langfuse")
    public, secret = os.getenv("LANGFUSE_PUBLIC_KEY"), os.getenv("LANGFUSE_SECRET_KEY")
    if not public or not secret:
        raise PermissionError(
            "A pull from Langfuse needs the project's keys: set LANGFUSE_PUBLIC_KEY and "
            "LANGFUSE_SECRET_KEY."
        )
    url = os.getenv("LANGFUSE_BASE_URL") or os.getenv("LANGFUSE_HOST") or _CLOUD
    client = api.LangfuseAPI(
        base_url=url, x_langfuse_public_key=public, username=public, password=secret
    )

    def observations(cursor: str | None, folder: PartFolder) -> Page:
        return _page(
            client.observations.get_many(
                fields=_OBSERVATION_FIELDS,
                limit=_OBSERVATIONS_PER_PAGE,
                cursor=cursor,
                from_start_time=since,
            )
        )

    def scores(cursor: str | None, folder: PartFolder) -> Page:
        return _page(
            client.scores.get_many(
                fields="details,subject,annotation",
                limit=_SCORES_PER_PAGE,
                cursor=cursor,
                from_timestamp=since,
            )
        )

    return Source(
        tool="langfuse",
        title="Langfuse",
        server=without_credentials(url),
        stages={"observations": observations, "scores": scores},
        answers="observations",
        scores=("scores",),
        errors=(errors.ApiError, httpx.HTTPError, httpx.InvalidURL, ValueError),
        address="LANGFUSE_BASE_URL",
        credentials="LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY",
        absent="does not serve observations v2 and scores v3: update the server, or export its "
        "traces and scores to files for load_feedback.",
    )


def _page(response: Any) -> Page:
    body = json.loads(response.json())  # the API's own names, such as traceId
    return body["data"], (body.get("meta") or {}).get("cursor")
