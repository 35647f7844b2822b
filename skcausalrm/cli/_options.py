"""Arguments and options that several commands share, and their checks."""

import math
from pathlib import Path
from typing import Annotated, Any

import typer


def parse_base_rate(text: str) -> float | tuple[float, float]:
    """Return the base rate written as ``P`` or ``P:SD``, as `SelectionModel` takes it.

    Raises
    ------
    BadParameter
        If P is not between 0 and 1, or SD is not positive.

    Examples
    --------
    >>> parse_base_rate("0.8"), parse_base_rate("0.8:0.3")
    (0.8, (0.8, 0.3))
    """
    try:
        rate, *std = map(float, text.split(":"))
    except ValueError:
        rate, std = math.nan, []
    if not (0 < rate < 1 and len(std) <= 1 and all(0 < value < math.inf for value in std)):
        raise typer.BadParameter(
            f"{text!r} must be a share between 0 and 1, alone or with the standard "
            "deviation of its log odds: for instance 0.8 or 0.8:0.3."
        )
    return (rate, std[0]) if std else rate


def parse_label(text: str) -> tuple[str, float | None]:
    """Return a spelling and its meaning, written as ``SPELLING=1``, ``=0`` or ``=none``.

    Raises
    ------
    BadParameter
        If there is no such meaning.

    Examples
    --------
    >>> parse_label("5 stars=1"), parse_label("skip=none")
    (('5 stars', 1.0), ('skip', None))
    """
    spelling, _, meaning = text.rpartition("=")
    known = {"1": 1.0, "0": 0.0, "none": None}
    if not spelling or meaning.lower() not in known:
        raise typer.BadParameter(
            f"{text!r} must be a spelling and its meaning: SPELLING=1, SPELLING=0 or SPELLING=none."
        )
    return spelling, known[meaning.lower()]


ModelDirectory = Annotated[
    Path, typer.Argument(metavar="MODEL_DIR", help="Model directory written by `fit`.")
]
Logs = Annotated[
    list[Path],
    typer.Argument(
        metavar="LOG",
        help="Feedback logs with rated and unrated rows: JSONL, JSON, CSV or Parquet files of one "
        "format. A row that occurs in several files is used once.",
        show_default=False,
    ),
]
Scores = Annotated[
    list[Path] | None,
    typer.Option(
        help="Scores of a tracing tool, if exported apart from the traces; repeatable.",
        show_default=False,
    ),
]
Format = Annotated[
    str,
    typer.Option(help="Format of the logs, such as plain, trl, chat or langfuse; auto detects it."),
]
FeedbackName = Annotated[str | None, typer.Option(help="Column or score with the users' feedback.")]
Verified = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE_OR_NAME",
        help="Judgements by careful people: a label file (.jsonl), or the name of a column or "
        "score; repeatable. Default: the column verified.",
        show_default=False,
    ),
]
AskedName = Annotated[
    str | None,
    typer.Option(
        "--asked",
        metavar="NAME",
        help="Column, tag or metadata that marks answers whose users were asked at random. "
        "Default: the column asked.",
        show_default=False,
    ),
]
JudgeScoreName = Annotated[
    str | None, typer.Option(help="Column or score given by a model (a judge).")
]
Labels = Annotated[
    list[Any] | None,
    typer.Option(
        metavar="SPELLING=1|0|none",
        parser=parse_label,
        help="Meaning of a spelling of the feedback, such as '5 stars=1'; repeatable.",
        show_default=False,
    ),
]
PromptColumn = Annotated[
    str | None, typer.Option(help="Column with the prompts, if it has another name.")
]
CompletionColumn = Annotated[
    str | None, typer.Option(help="Column with the answers, if it has another name.")
]
PromptKey = Annotated[
    str | None,
    typer.Option(help="Dotted path of the prompt inside inputs, such as question or args.0."),
]
CompletionKey = Annotated[
    str | None, typer.Option(help="Dotted path of the answer inside outputs.")
]
Strict = Annotated[
    bool,
    typer.Option("--strict", help="Raise at unreadable rows; else they are left out."),
]
FalsePositiveRate = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="Known P(thumbs up | bad answer). Default: estimated."),
]
FalseNegativeRate = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="Known P(thumbs down | good answer). Default: estimated."),
]
BaseRate = Annotated[
    Any,
    typer.Option(
        metavar="P or P:SD",
        parser=parse_base_rate,
        help="Known share of good answers; SD is the standard deviation of its log odds. "
        "Default: estimated.",
        show_default=False,
    ),
]
CacheDirectory = Annotated[
    Path | None, typer.Option("--cache-dir", help="Folder of the embedding cache.")
]
RandomState = Annotated[int, typer.Option(help="Seed of folds, bootstrap and network.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.")]


_OF_LOGS = {
    *("scores", "format", "feedback_name", "verified", "asked_name", "judge_score_name"),
    *("prompt_column", "completion_column", "prompt_key", "completion_key"),
}


def of_logs(ctx: typer.Context) -> dict[str, Any]:
    """Return the options of a command that say how to read its logs, as `read_frame` takes them."""
    return {
        **{name: value for name, value in ctx.params.items() if name in _OF_LOGS},
        "labels": dict(ctx.params["labels"] or ()),
        "on_error": "raise" if ctx.params["strict"] else "omit",
    }


def check_parent(path: Path) -> None:
    """Raise now, before the work, if there is no folder to write `path` into.

    Raises
    ------
    NotADirectoryError
    """
    if not path.parent.is_dir():
        raise NotADirectoryError(
            f"{path} cannot be written, because {path.parent} is no folder: make it, or choose "
            "another path."
        )


def check_absent(path: Path, overwrite: bool) -> None:
    """Raise if a file exists and may not be replaced.

    Raises
    ------
    FileExistsError
    """
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists: pass --overwrite to replace it.")
