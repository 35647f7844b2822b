"""Arguments and options that several commands share, and their checks."""

import math
from collections.abc import Callable, Sequence
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any

import typer

from .._utils._extras import import_extra


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


def parse_signals(text: str) -> dict[str, str | None] | str:
    """Return names of signals and their directions, written as ``NAME``, ``NAME:+``, ``NAME:-``.

    "auto" stays as it is, and "none" is no signal.

    Raises
    ------
    BadParameter
        If a name is empty or comes twice, or a direction is no sign.

    Examples
    --------
    >>> parse_signals("copied,saved:+,skipped:-")
    {'copied': None, 'saved': 'positive', 'skipped': 'negative'}
    """
    if text in ("auto", "none"):
        return {} if text == "none" else text
    known = {"": None, "+": "positive", "-": "negative"}
    found: dict[str, str | None] = {}
    for part in text.split(","):
        name, _, sign = part.strip().partition(":")
        if not name or name in found or sign not in known:
            raise typer.BadParameter(
                f"{text!r} must be names of columns, each once, with + or - where the name does "
                f"not say whether it speaks for the answer: for instance copied,saved:+."
            )
        found[name] = known[sign]
    return found


def parse_instruments(text: str) -> list[str]:
    """Return names of columns, separated by commas.

    Raises
    ------
    BadParameter
        If a name is empty or comes twice.

    Examples
    --------
    >>> parse_instruments("prompted, position")
    ['prompted', 'position']
    """
    names = [part.strip() for part in text.split(",")]
    if not all(names) or len(set(names)) < len(names):
        raise typer.BadParameter(
            f"{text!r} must be names of columns, each once: for instance prompted,position."
        )
    return names


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
DEFAULT_ENCODER = "sentence-transformers/all-MiniLM-L6-v2"
EncoderName = Annotated[
    str, typer.Option(help="Encoder: a name on the Hugging Face hub, or a folder.")
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


# Options that say how to read logs, by the names that `read_frame` and `pull_feedback` use.
_OF_LOGS: dict[str, Any] = {
    "scores": Annotated[
        list[Path] | None,
        typer.Option(
            help="Scores of a tracing tool, if exported apart from the traces; repeatable.",
            show_default=False,
        ),
    ],
    "format": Annotated[
        str,
        typer.Option(
            help="Format of the logs, such as plain, trl, chat or langfuse; auto detects it."
        ),
    ],
    "feedback_name": Annotated[
        str | None, typer.Option(help="Column or score with the users' feedback.")
    ],
    "verified": Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE_OR_NAME",
            help="Judgements by careful people: a label file (.jsonl), or the name of a column or "
            "score; repeatable. Default: the column verified.",
            show_default=False,
        ),
    ],
    "asked_name": Annotated[
        str | None,
        typer.Option(
            "--asked",
            metavar="NAME",
            help="Column, tag or metadata that marks answers whose users were asked at random. "
            "Default: the column asked.",
            show_default=False,
        ),
    ],
    "judge_score_name": Annotated[
        str | None, typer.Option(help="Column or score given by a model (a judge).")
    ],
    "labels": Annotated[
        list[Any] | None,
        typer.Option(
            metavar="SPELLING=1|0|none",
            parser=parse_label,
            help="Meaning of a spelling of the feedback, such as '5 stars=1'; repeatable.",
            show_default=False,
        ),
    ],
    "prompt_column": Annotated[
        str | None, typer.Option(help="Column with the prompts, if it has another name.")
    ],
    "completion_column": Annotated[
        str | None, typer.Option(help="Column with the answers, if it has another name.")
    ],
    "prompt_key": Annotated[
        str | None,
        typer.Option(help="Dotted path of the prompt inside inputs, such as question or args.0."),
    ],
    "completion_key": Annotated[
        str | None, typer.Option(help="Dotted path of the answer inside outputs.")
    ],
    "strict": Annotated[
        bool,
        typer.Option("--strict", help="Raise at unreadable rows; else they are left out."),
    ],
}
# Options that name what else a log tells of its ratings, by the parameters of `read_sources`.
_OF_SOURCES: dict[str, Any] = {
    "users": Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Column with the users. Default: the column user, under any common name.",
            show_default=False,
        ),
    ],
    "instruments": Annotated[
        Any,
        typer.Option(
            metavar="COLUMN,...",
            parser=parse_instruments,
            help="Columns of numbers that move who rates and not how good the answer is, such as "
            "whether feedback was prompted at random.",
            show_default=False,
        ),
    ],
    "signals": Annotated[
        Any,
        typer.Option(
            metavar="auto|none|NAME[:+|:-],...",
            parser=parse_signals,
            help="Columns of what else users did with the answers, such as copied,regenerated; "
            "+ or - says whether it speaks for the answer. Default: auto, those that are found "
            "and safe.",
            show_default=False,
        ),
    ],
}
SOURCES = tuple(_OF_SOURCES)
_DEFAULTS: dict[str, Any] = {"format": "auto", "strict": False}  # None for the others


def reads_logs(*, without: Sequence[str] = ()) -> Callable[..., Any]:
    """Return a decorator that gives a command the options on how to read logs.

    Typer finds the options of a command in its signature, so they are added there, before the
    command's own. The command reads them by `of_logs` and `of_sources`.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = signature(command, eval_str=True).parameters.values()
        added = [
            Parameter(
                name, Parameter.POSITIONAL_OR_KEYWORD, default=_DEFAULTS.get(name), annotation=kind
            )
            for name, kind in {**_OF_LOGS, **_OF_SOURCES}.items()
            if name not in without
        ]
        parameters = sorted([*added, *own], key=lambda one: one.default is not one.empty)

        @wraps(command)
        def run(**given: Any) -> None:
            command(**{one.name: given[one.name] for one in own})

        run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in parameters}
        return run

    return decorate


def of_logs(ctx: typer.Context) -> dict[str, Any]:
    """Return the options of a command that say how to read its logs, as loaders take them."""
    given = {name: value for name, value in ctx.params.items() if name in _OF_LOGS}
    on_error = "raise" if given.pop("strict") else "omit"
    return given | {"labels": dict(given["labels"] or ()), "on_error": on_error}


def of_sources(ctx: typer.Context) -> dict[str, Any]:
    """Return the options of a command that name users, instruments and signals."""
    return {name: ctx.params[name] for name in _OF_SOURCES}


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


def check_saving(path: Path, overwrite: bool) -> None:
    """Raise now, before the work, if `save_model_directory` would refuse later.

    Raises
    ------
    ModelDirectoryError
        If something at `path` may not be replaced.
    MissingExtraError
        If onnx or onnxruntime is not installed.
    """
    from ..export._layout import check_place

    check_place(path.resolve(), overwrite)
    for package, extra in (("onnx", "export"), ("onnxruntime", "cpu")):
        import_extra(package, extra=extra, purpose="Saving a model")
