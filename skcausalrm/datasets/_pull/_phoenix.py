"""Spans and annotations of a Phoenix server."""

import os
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from ..._utils._extras import import_extra
from ._part_folder import PartFolder
from ._source import Page, Source, in_batches, without_credentials

_SPANS_PER_PAGE = 500
_IDS_PER_REQUEST = 100  # ids travel in the address
_ANNOTATIONS_PER_REQUEST = 1000


def connect(project: str | None, since: datetime | None) -> Source:
    config = import_extra(
        "phoenix.client.utils.config", extra="phoenix", purpose="A pull from Phoenix"
    )
    httpx = import_extra("httpx", extra="phoenix", purpose="A pull from Phoenix")
    url = str(config.get_base_url()).rstrip("/")
    client = httpx.Client(
        base_url=url,
        headers=config.get_env_client_headers(),
        timeout=httpx.Timeout(60, connect=10),
        transport=httpx.HTTPTransport(retries=3),
        follow_redirects=True,
    )
    name = project or os.getenv("PHOENIX_PROJECT") or os.getenv("PHOENIX_PROJECT_NAME") or "default"

    def get(kind: str, **params: Any) -> Page:
        response = client.get(f"/v1/projects/{quote(name, safe='')}/{kind}", params=params)
        response.raise_for_status()
        body = response.json()
        return body["data"], body.get("next_cursor")

    def spans(cursor: str | None, folder: PartFolder) -> Page:
        params = {"limit": _SPANS_PER_PAGE, "cursor": cursor}
        if since is not None:
            params["start_time"] = since.isoformat()
        return get("spans", **{key: value for key, value in params.items() if value is not None})

    def annotations(of: str) -> Callable[[Sequence[str]], list[dict[str, Any]]]:
        def fetch(ids: Sequence[str]) -> list[dict[str, Any]]:
            records: list[dict[str, Any]] = []
            cursor: dict[str, Any] = {}
            while True:
                page, following = get(
                    f"{of}_annotations",
                    **{f"{of}_ids": list(ids), "limit": _ANNOTATIONS_PER_REQUEST},
                    **cursor,
                )
                records += page
                if following is None:
                    return records
                cursor = {"cursor": following}

        return fetch

    def stage(of: str, ids: Callable[[Iterable[dict[str, Any]]], Iterable[Any]]):
        def known(folder: PartFolder) -> list[str]:
            return list(dict.fromkeys(filter(None, ids(folder.records("spans")))))

        return in_batches(known, _IDS_PER_REQUEST, annotations(of))

    return Source(
        tool="phoenix",
        title="Phoenix",
        server=without_credentials(url),
        stages={
            "spans": spans,
            "span_annotations": stage("span", lambda all: (s["context"]["span_id"] for s in all)),
            "trace_annotations": stage(
                "trace", lambda all: (s["context"]["trace_id"] for s in all)
            ),
            "session_annotations": stage(
                "session", lambda all: ((s.get("attributes") or {}).get("session.id") for s in all)
            ),
        },
        answers="spans",
        scores=("span_annotations", "trace_annotations", "session_annotations"),
        # ValueError and KeyError: an answer that is not Phoenix's.
        errors=(httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError),
        address="PHOENIX_COLLECTOR_ENDPOINT",
        credentials="PHOENIX_API_KEY",
        absent=f"has no project {name!r}: name another one as project, or in PHOENIX_PROJECT.",
        project=name,
    )
