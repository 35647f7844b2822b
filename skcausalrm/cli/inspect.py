"""``skcausalrm inspect``: what would be loaded from logs, before anything is encoded."""

from typing import Annotated

import typer

from . import _options as options
from ._console import print_json, print_table, progress
from ._screen import harmless

# Maximum characters of a text in an example, so that it takes one line.
_WIDTH = 90


@options.reads_logs()
def inspect(
    ctx: typer.Context,
    logs: options.Logs,
    examples: Annotated[int, typer.Option(min=0, help="Rows to print, rated ones first.")] = 5,
    as_json: options.AsJson = False,
) -> None:
    """Print what `fit` would load from feedback logs, without encoding a text.

    Rows, ratings, users, conversations, models, period, signals and why one is not used, the
    columns that are read and those that are not, what is left out and why, and some rows.
    Where rows are verified, also how far thumbs and the column judge_score agree with them.
    Then what there is to see to: findings with a code, each with a section in the documentation.
    """
    from ..datasets._labels import answer_texts
    from ._findings import findings_of_frame, print_findings
    from ._judges import compare_judges, print_judges
    from ._log_summary import summarise, summary_lines
    from ._logs import join_names, read_frame
    from ._sources import Named, read_sources

    progress(f"reading {join_names(logs)}")
    frame = read_frame(logs, **options.of_logs(ctx))
    sources = read_sources(frame, Named(**options.of_sources(ctx)))
    facts, judges = summarise(frame, sources), compare_judges(frame, sources)
    findings = findings_of_frame(frame, sources)
    some = frame.iloc[frame["feedback"].isna().argsort(kind="stable").to_numpy()[:examples]]
    texts = list(zip(*answer_texts(some), strict=True))
    marks = [None if mark != mark else float(mark) for mark in some["feedback"]]
    if as_json:
        rows = [
            {"feedback": mark, "prompt": prompt, "completion": completion}
            for mark, (prompt, completion) in zip(marks, texts, strict=True)
        ]
        print_json(
            {
                **facts,
                "judges": judges,
                "findings": findings.to_dict(),
                "examples": rows,
                "warnings": ctx.obj,
            }
        )
        return
    print_table("Log", ["", ""], [(name, harmless(text)) for name, text in summary_lines(facts)])
    print_judges(judges)
    print_findings(findings)
    for mark, (prompt, completion) in zip(marks, texts, strict=True):
        feedback = {None: "not rated", 1.0: "liked", 0.0: "disliked"}[mark]
        typer.echo(f"{feedback}\n  prompt  {_shorten(prompt)}\n  answer  {_shorten(completion)}")


def _shorten(text: str) -> str:
    """Return the beginning and the end of a text on one line."""
    line = " ".join(harmless(text).split())
    if len(line) <= _WIDTH:
        return line
    return f"{line[: _WIDTH // 2]} ... {line[5 - _WIDTH // 2 :]}"
