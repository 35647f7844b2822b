"""A tool's server as a source of pages, and the errors that its refusals become."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ...exceptions import FileFormatError, InvalidInputError

if TYPE_CHECKING:
    from ._part_folder import PartFolder

Page = tuple[list[dict[str, Any]], Any]
Stage = Callable[[Any, "PartFolder"], Page]


@dataclass(frozen=True)
class Source:
    """One project of one tool's server. Making it sends no request.

    Attributes
    ----------
    tool : str
        Format name of `load_feedback`.
    title : str
        The tool's name in messages.
    server : str
        Address without credentials.
    stages : dict of callable
        For each kind of record a function of the cursor (None at first) and the pages so far. It
        returns the next page and its cursor, None after the last page.
    answers : str
        The kind that holds the answers.
    scores : tuple of str
        The kinds that hold their scores.
    errors : tuple of exception classes
        Errors of the tool's client.
    address, credentials : str
        Environment variables to set if the server is not found, or refuses.
    absent : str
        Sentence for a request that the server does not know: what is missing, and the cure.
    project : str or None
        Name of the project.
    """

    tool: str
    title: str
    server: str
    stages: dict[str, Stage]
    answers: str
    scores: tuple[str, ...]
    errors: tuple[type[Exception], ...]
    address: str
    credentials: str
    absent: str
    project: str | None = None

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """Turn errors of the tool's client into errors of one sentence.

        The original error is not chained: its text may repeat credentials.

        Raises
        ------
        PermissionError
            If the server refuses the credentials.
        InvalidInputError
            If the server does not know the project.
        ConnectionError
            If the server cannot be reached, or fails.
        """
        try:
            yield
        except (FileFormatError, InvalidInputError):
            raise  # an unknown project, or a damaged page
        except self.errors as error:
            raise self._explanation(error) from None

    def _explanation(self, error: Exception) -> Exception:
        server, status = f"{self.title} at {self.server}", _status(error)
        if status in (401, 403):
            return PermissionError(
                f"{server} refuses the credentials (status {status}): set {self.credentials} to "
                "ones that may read it."
            )
        if status == 404:
            return InvalidInputError(f"{server} {self.absent}")
        if status is not None:
            return ConnectionError(
                f"{server} answers with status {status}: run the same command again, which "
                "continues after the last page."
            )
        return ConnectionError(
            f"{server} cannot be reached or is no {self.title} ({type(error).__name__}): check "
            f"{self.address}, and run the same command again."
        )


def _status(error: BaseException | None) -> int | None:
    """Return the HTTP status in an error of a client, or in the error that it stands for."""
    while error is not None:
        for holder in (error, getattr(error, "response", None)):
            status = getattr(holder, "status_code", None)
            if isinstance(status, int) and status >= 400:
                return status
        error = error.__cause__ or error.__context__
    return None


def without_credentials(address: str) -> str:
    """Return an address without user name, password and query.

    Examples
    --------
    >>> without_credentials("https://me:secret@example.org:8080/api?key=1")
    'https://example.org:8080/api'
    """
    parts = urlsplit(address)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def in_batches(
    ids: Callable[[PartFolder], Sequence[str]],
    size: int,
    fetch: Callable[[Sequence[str]], list[dict[str, Any]]],
) -> Stage:
    """Return a stage that fetches the records of `size` ids for each page.

    `ids` reads them from the pages of an earlier stage, once.
    """
    known = functools.cache(ids)

    def stage(start: int | None, folder: PartFolder) -> Page:
        every = known(folder)
        end = (start or 0) + size
        batch = every[end - size : end]
        return fetch(batch) if batch else [], end if end < len(every) else None

    return stage
