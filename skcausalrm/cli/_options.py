"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ModelDirectory = Annotated[
    Path, typer.Argument(metavar="MODEL_DIR", help="Model directory that `fit` wrote.")
]
Logs = Annotated[
    Path,
    typer.Argument(
        metavar="LOGS",
        help="Feedback log, rated and unrated rows: JSONL, JSON, CSV or Parquet.",
    ),
]
Scores = Annotated[
    Path | None,
    typer.Option(help="Scores of a tracing tool, where it exports them apart from the traces."),
]
Format = Annotated[
    str, typer.Option(help="Format of LOGS, such as plain, trl, chat, langfuse; auto tells.")
]
FeedbackName = Annotated[
    str | None, typer.Option(help="Column or score that is the user's feedback.")
]
Verified = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE_OR_NAME",
        help="Where careful people judged answers: label files (.jsonl), and a column or score; "
        "default: the column verified.",
        show_default=False,
    ),
]
AskedName = Annotated[
    str | None,
    typer.Option(
        "--asked",
        metavar="NAME",
        help="Column, tag or metadata that marks answers whose users were asked at random; "
        "default: the column asked.",
        show_default=False,
    ),
]
JudgeScoreName = Annotated[
    str | None, typer.Option(help="Column or score that a model (a judge) gave.")
]
FalsePositiveRate = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="Known P(thumbs up | bad answer); default: estimated."),
]
FalseNegativeRate = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="Known P(thumbs down | good answer); default: estimated."),
]
BaseRate = Annotated[
    str | None,
    typer.Option(
        metavar="P or P:SD",
        help="Known share of good answers; SD says how well, on the log odds; default: estimated.",
        show_default=False,
    ),
]
CacheDirectory = Annotated[
    Path | None, typer.Option("--cache-dir", help="Folder of the embedding cache.")
]
RandomState = Annotated[int, typer.Option(help="Seed of folds, bootstrap and network.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what stands there.")]


def check_parent(path: Path) -> None:
    """Raise before the work, not after it, if there is no folder to write `path` into.

    Raises
    ------
    NotADirectoryError
    """
    if not path.parent.is_dir():
        raise NotADirectoryError(
            f"{path} cannot be written, as {path.parent} is no folder: make it, or choose another "
            "path."
        )


def check_absent(path: Path, overwrite: bool) -> None:
    """Raise if a file would be replaced that the user did not say to replace.

    Raises
    ------
    FileExistsError
    """
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists: pass --overwrite to replace it.")
