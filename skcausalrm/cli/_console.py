"""Console output and exit statuses: progress and warnings on stderr, results on stdout."""

import json
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer

from ..exceptions import (
    ExportParityError,
    MissingExtraError,
    SkcausalrmWarning,
    UnsupportedExportError,
)

# Width of the first column that numbers next to it do not squeeze, and of what is no terminal.
_NAME_WIDTH, _PIPE_WIDTH = 24, 500

_INPUT_ERRORS = (
    ValueError,
    FileNotFoundError,
    FileExistsError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
    MissingExtraError,
    UnsupportedExportError,
)


@contextmanager
def reporting() -> Iterator[list[str]]:
    """Print each warning of this package once, as one line, and turn errors into exit statuses.

    Input errors exit with 2, a failed export or connection with 1; both print one sentence.

    Yields
    ------
    list of str
        The warnings printed so far.
    """
    printed: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("always", SkcausalrmWarning)
        show_other = warnings.showwarning

        def show(message, category, *place):
            if not issubclass(category, SkcausalrmWarning):
                show_other(message, category, *place)
            elif (text := _one_line(message)) not in printed:
                printed.append(text)
                progress(f"warning: {text}")

        warnings.showwarning = show
        try:
            yield printed
        except BrokenPipeError:
            raise  # the reader of our output went away
        except (*_INPUT_ERRORS, ExportParityError, ConnectionError) as error:
            progress(f"error: {_one_line(error)}")
            failed = isinstance(error, ExportParityError | ConnectionError)
            raise typer.Exit(1 if failed else 2) from error


def _one_line(message: object) -> str:
    return " ".join(str(message).split())


def progress(text: str) -> None:
    """Print the current step on stderr."""
    typer.echo(text, err=True)


def print_json(result: Any) -> None:
    """Print a result as JSON without NaN."""
    typer.echo(json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False))


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a result as a table; the first column is text, the others are numbers."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    lines = list(rows)
    longest = max((len(line[0]) for line in lines), default=0)
    for position, name in enumerate(columns):
        if position:
            table.add_column(name, justify="right", no_wrap=True)
        else:
            table.add_column(name, min_width=min(longest, _NAME_WIDTH))
    for line in lines:
        table.add_row(*line)
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = _PIPE_WIDTH  # rich would wrap at 80
    console.print(table)
