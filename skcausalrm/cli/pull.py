"""``skcausalrm pull``: answers and feedback from a tool's server."""

from pathlib import Path
from typing import Annotated

import typer

from . import _options as options
from ._console import print_json, print_table, progress
from ._screen import harmless

Tool = Annotated[
    str,
    typer.Argument(
        metavar="TOOL",
        help="phoenix, mlflow, langfuse, langsmith or open-webui. Needs the extra of that name.",
        show_default=False,
    ),
]
Out = Annotated[Path, typer.Option(help="Parquet file to write.", show_default=False)]
Since = Annotated[
    str | None,
    typer.Option(
        metavar="DATE", help="First day or time, such as 2026-11-01 (UTC).", show_default=False
    ),
]
Project = Annotated[
    str | None,
    typer.Option(
        help="Phoenix project, MLflow experiment or LangSmith project. Default: that of the "
        "tool's environment variables.",
        show_default=False,
    ),
]
VerifiedName = Annotated[
    str | None,
    typer.Option(
        "--verified", metavar="NAME", help="Score by which careful people judged answers."
    ),
]


@options.reads_logs(
    without=[
        *("scores", "format", "verified", "prompt_column", "completion_column"),
        *options.SOURCES,
    ]
)
def pull(
    ctx: typer.Context,
    tool: Tool,
    out: Out,
    since: Since = None,
    project: Project = None,
    verified_name: VerifiedName = None,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Fetch answers and feedback from a tool's server into one Parquet file.

    The address and the credentials come from the tool's own environment variables. A pull that
    was stopped continues when the command is run again.
    """
    options.check_parent(out)
    options.check_absent(out, overwrite)

    from ..datasets import pull_feedback
    from ._log_summary import summarise, summary_lines
    from ._sources import read_sources

    frame = pull_feedback(
        tool,
        out,
        since=since,
        project=project,
        overwrite=overwrite,
        progress=progress,
        verified_name=verified_name,
        **options.of_logs(ctx),
    )
    facts = {**summarise(frame, read_sources(frame)), "out": str(out)}
    if as_json:
        print_json(facts)
    else:
        rows = [(name, harmless(text)) for name, text in summary_lines(facts)]
        print_table(f"Pulled from {tool}", ["", ""], rows)
