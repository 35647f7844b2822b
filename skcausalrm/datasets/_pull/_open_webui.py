"""Chats and feedback of an Open WebUI server, over its API."""

import os
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ..._utils._extras import import_extra
from ._part_folder import PartFolder
from ._source import Page, Source, in_batches, without_credentials

_CHATS_PER_PAGE = 20  # the server sends one chat per request


def connect(project: str | None, since: datetime | None) -> Source:
    httpx = import_extra("httpx", extra="open-webui", purpose="A pull from Open WebUI")
    url, key = os.getenv("OPEN_WEBUI_URL"), os.getenv("OPEN_WEBUI_API_KEY")
    if not url or not key:
        raise PermissionError(
            "A pull from Open WebUI needs its address and an administrator's key: set "
            "OPEN_WEBUI_URL and OPEN_WEBUI_API_KEY."
        )
    client = httpx.Client(
        base_url=url.rstrip("/") + "/api/v1",
        headers={"Authorization": f"Bearer {key}"},
        timeout=httpx.Timeout(60, connect=10),
        transport=httpx.HTTPTransport(retries=3),
        follow_redirects=True,
    )
    first = 0 if since is None else since.timestamp()

    def get(path: str, **params: Any) -> Any:
        response = client.get(path, params=params)
        response.raise_for_status()
        return response.json()

    def users(page: int | None, folder: PartFolder) -> Page:
        page = page or 1
        found = get("/users/", page=page)["users"]
        return [{"id": user["id"]} for user in found], page + 1 if found else None

    def chat_ids(position: list[int] | None, folder: PartFolder) -> Page:
        number, page = position or [0, 1]
        everyone = list(dict.fromkeys(user["id"] for user in folder.records("users")))
        if number >= len(everyone):
            return [], None
        # In this order, chats that begin meanwhile come last and move no other one.
        found = get(
            f"/chats/list/user/{everyone[number]}",
            page=page,
            order_by="created_at",
            direction="asc",
        )
        if not found:
            number, page = number + 1, 0
        chosen = [{"id": chat["id"]} for chat in found if chat["updated_at"] >= first]
        return chosen, [number, page + 1] if number < len(everyone) else None

    def chats(ids: Sequence[str]) -> list[dict[str, Any]]:
        return [chat for chat in (get(f"/chats/{one}") for one in ids) if chat is not None]

    def feedback(page: int | None, folder: PartFolder) -> Page:
        page = page or 1
        found = get("/evaluations/feedbacks/list", page=page)["items"]
        for item in found:
            item.pop("user", None)  # name and email address
        chosen = [item for item in found if item["updated_at"] >= first]
        return chosen, page + 1 if found else None

    return Source(
        tool="open-webui",
        title="Open WebUI",
        server=without_credentials(url),
        stages={
            "users": users,
            "chat_ids": chat_ids,
            "chats": in_batches(
                lambda folder: list(dict.fromkeys(c["id"] for c in folder.records("chat_ids"))),
                _CHATS_PER_PAGE,
                chats,
            ),
            "feedback": feedback,
        },
        answers="chats",
        scores=("feedback",),
        # The last three: an answer that is not Open WebUI's.
        errors=(httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError),
        address="OPEN_WEBUI_URL",
        credentials="OPEN_WEBUI_API_KEY",
        absent="does not serve the chats and feedback of all users: update it to 0.6 or later.",
    )
