"""What a request may hold, and who may ask: checks, and errors as bodies."""

from __future__ import annotations

import hmac
import re
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from ..exceptions import InvalidInputError, OverloadedError
from ..text._conversation import as_conversations
from ._schemas import Message, Row

__all__ = ["BodyLimit", "TokenCheck", "add_error_handlers", "check_pairs", "pairs_of", "turn"]


class BodyLimit:
    """Refuse bodies over a number of bytes, counted as they come."""

    def __init__(self, app: ASGIApp, max_bytes: int):
        self.app, self.max_bytes = app, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        received = 0

        async def counted():
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.max_bytes:
                raise HTTPException(
                    413, f"The body has over {self.max_bytes} bytes; send fewer rows at a time."
                )
            return message

        await self.app(scope, counted, send)


class TokenCheck:
    """A dependency that lets requests with the bearer token pass, and all where there is none."""

    def __init__(self, token: str | None):
        self.token = token

    def __call__(self, request: Request) -> None:
        if self.token is None:
            return
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {self.token}".encode()):
            raise HTTPException(
                401,
                "Send the server's token as `Authorization: Bearer ...`.",
                {"WWW-Authenticate": "Bearer"},
            )


def turn(value: str | list[Message]) -> Any:
    """A prompt or completion as `as_conversations` takes it."""
    return value if isinstance(value, str) else [message.model_dump() for message in value]


def pairs_of(rows: list[Row]) -> list[tuple[Any, Any]]:
    """Pairs of prompt and completion.

    Raises
    ------
    InvalidInputError
        If a row has not one of both forms.
    """
    pairs = []
    for index, row in enumerate(rows):
        if row.messages and row.prompt is None and row.completion is None:
            *prompt, completion = turn(row.messages)
            if completion["role"] != "assistant":
                raise InvalidInputError(
                    f"the last message is not the assistant's in row {index}; end it with the "
                    f"answer to be scored."
                )
            pairs.append((prompt, [completion]))
        elif row.messages is None and row.prompt is not None and row.completion is not None:
            pairs.append((turn(row.prompt), turn(row.completion)))
        else:
            raise InvalidInputError(
                f"row {index} needs prompt and completion, or messages alone; send one of both."
            )
    return pairs


def check_pairs(pairs: list[tuple[Any, Any]], max_rows: int, max_characters: int) -> None:
    """Raise before the model sees them.

    Raises
    ------
    HTTPException
        If there are too many rows.
    InvalidInputError
        If an answer is empty, a text no text, or too long.
    """
    if len(pairs) > max_rows:
        raise HTTPException(
            413, f"{len(pairs)} rows are over the {max_rows} of a request; send parts."
        )
    for index, text in enumerate(as_conversations(pairs).texts()):
        if len(text) > max_characters:
            raise InvalidInputError(
                f"row {index} has {len(text)} characters and the server takes {max_characters}; "
                f"cut the text, or raise --max-characters."
            )


def add_error_handlers(app: FastAPI) -> None:
    """Answer every error with the body of `ErrorBody`."""

    def answer(status, kind, message, index=None, headers=None):
        body = {"error": {"type": kind, "message": message, "index": index}}
        return JSONResponse(body, status, headers=headers)

    @app.exception_handler(OverloadedError)
    def overloaded(_request, error: OverloadedError):
        headers = {"Retry-After": str(error.retry_after)}
        return answer(503, "OverloadedError", str(error), headers=headers)

    @app.exception_handler(InvalidInputError)
    def bad_row(_request, error: InvalidInputError):
        found = re.search(r"row (\d+)", str(error))
        index = None if found is None else int(found.group(1))
        return answer(422, "InvalidInputError", _plain(str(error)), index)

    @app.exception_handler(RequestValidationError)
    def bad_body(_request, error: RequestValidationError):
        # FastAPI's own answer repeats the input, and fails where that holds NaN
        first = error.errors()[0]
        # without "body" and the names of the classes that were tried
        path = [part for part in first["loc"] if part != "body" and not str(part)[:1].isupper()]
        index = next((part for part in path if isinstance(part, int)), None)
        where = ".".join(map(str, path)) or "the body"
        if first["type"] == "json_invalid":
            return answer(422, "JSONError", "The body is not JSON; send a JSON object.")
        message = f"{_plain(where)}: {_plain(first['msg'])}"
        return answer(422, "ValidationError", message, index)

    @app.exception_handler(HTTPException)
    def refused(_request, error: HTTPException):
        message = str(error.detail)
        if error.status_code == 400 and "parsing the body" in message:  # FastAPI's words
            message = "The body is not JSON in UTF-8; send that."
        return answer(error.status_code, "HTTPError", message, headers=error.headers)


def _plain(text: str) -> str:
    """Without lone surrogates, which no answer can hold."""
    return text.encode("utf-8", "replace").decode()
