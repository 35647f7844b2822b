"""Command line ``skcausalrm``, also ``python -m skcausalrm``: one module per command.

Progress and warnings go to stderr, results to stdout. Exit status 0 is success, 2 bad usage or
input (one sentence says what to do), 1 a failure. Modules with an underscore hold what several
commands share.
"""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from .. import __version__
from ._console import reporting
from .compare import compare
from .demo import demo
from .evaluate import evaluate
from .export import export
from .fit import fit
from .inspect import inspect
from .label import label
from .pull import pull
from .report import report
from .score import score
from .serve import serve
from .threshold import threshold

__all__ = ["app", "main"]


class _Commands(TyperGroup):
    """Command group that prints warnings and input errors as sentences on stderr."""

    def invoke(self, ctx: Any) -> Any:
        with reporting() as ctx.obj:
            return super().invoke(ctx)


app = typer.Typer(
    cls=_Commands,
    help="Unbiased reward models from noisy, self-selected user feedback.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (
    *(pull, inspect, fit, label, compare, score, evaluate, threshold),
    *(report, export, serve, demo),
):
    app.command()(command)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"skcausalrm {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line."""
    app(prog_name="skcausalrm")
