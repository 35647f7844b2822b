"""``skcausalrm pull``: answers and feedback from a tool's server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import _options as options
from ._console import print_json, print_table, progress

if TYPE_CHECKING:
    import pandas as pd

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


def pull(
    tool: Tool,
    out: Out,
    since: Since = None,
    project: Project = None,
    feedback_name: options.FeedbackName = None,
    verified: VerifiedName = None,
    asked: options.AskedName = None,
    judge_score_name: options.JudgeScoreName = None,
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

    frame = pull_feedback(
        tool,
        out,
        since=since,
        project=project,
        overwrite=overwrite,
        progress=progress,
        feedback_name=feedback_name,
        verified_name=verified,
        asked_name=asked,
        judge_score_name=judge_score_name,
    )
    facts = _summary(frame) | {"out": str(out)}
    if as_json:
        print_json(facts)
    else:
        print_table(f"Pulled from {tool}", ["", ""], list(_lines(facts)))


def _summary(frame: pd.DataFrame) -> dict[str, Any]:
    """Return the numbers of answers, the period, and the counts of what was left out."""
    rated = frame["feedback"].notna()
    facts: dict[str, Any] = {"answers": len(frame), "rated": int(rated.sum())}
    if rated.any():
        facts["positive_share_of_rated"] = float(frame["feedback"].mean())
    for name in ("verified", "judge_score"):
        if name in frame.columns:
            facts[name] = int(frame[name].notna().sum())
    if "asked" in frame.columns:
        facts["asked"] = int(frame["asked"].sum())
    for name in ("group", "user", "model"):
        if name in frame.columns:
            facts[f"{name}s"] = int(frame[name].nunique())
    if "timestamp" in frame.columns and frame["timestamp"].notna().any():
        times = frame["timestamp"]
        facts["period"] = [times.min().isoformat(), times.max().isoformat()]
    return facts | {"import": frame.attrs["load_feedback"]}


def _lines(facts: dict[str, Any]):
    """Yield facts as rows of a table; an empty count is left out."""
    for name, value in facts.items():
        if name == "import":
            yield from _lines({key: item for key, item in value.items() if key != "format"})
        elif name == "left_out":
            yield from ((f"left out: {why}", str(some["count"])) for why, some in value.items())
        elif name == "period":
            yield name, " to ".join(text[:10] for text in value)
        elif isinstance(value, float):
            yield name.replace("_", " "), f"{value:.3f}"
        elif isinstance(value, str) or value:
            yield name.removeprefix("n_").replace("_", " "), str(value)
