"""``skcausalrm compare``: which of the systems behind a log is better, and how sure that is."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from ..exceptions import BaseRateUncertainWarning, UnusedParameterError
from . import _options as options
from ._console import print_json, print_table, progress

if TYPE_CHECKING:
    from ..inference import Comparison


@options.reads_logs()
def compare(
    ctx: typer.Context,
    logs: options.Logs,
    by: Annotated[str, typer.Option(help="Column that names the system behind each answer.")],
    baseline: Annotated[
        str | None,
        typer.Option(
            help="System from which differences are taken. Default: the best.", show_default=False
        ),
    ] = None,
    paired: Annotated[
        bool,
        typer.Option("--paired", help="Compare only on prompts that every system has answered."),
    ] = False,
    distrust_log: Annotated[
        bool,
        typer.Option(
            "--distrust-log",
            help="Rest on verified answers alone: feedback and judge help, and need not be right.",
        ),
    ] = False,
    model: options.EncoderName = options.DEFAULT_ENCODER,
    false_positive_rate: options.FalsePositiveRate = None,
    false_negative_rate: options.FalseNegativeRate = None,
    base_rate: options.BaseRate = None,
    cache_dir: options.CacheDirectory = None,
    random_state: options.RandomState = 0,
    as_json: options.AsJson = False,
) -> None:
    """Estimate the share of good answers of each system in a log, and the differences.

    The dashboard's share of liked answers is biased by who rates. Here, selection and flips are
    corrected by the selection likelihood, and answers that a person has judged (--verified) settle
    what the log leaves open. Intervals are of 90%.
    """
    import numpy as np

    from .. import ConversationEncoder, SelectionModel
    from ..inference import compare as compare_sets
    from ._logs import encode, join_names, read_log
    from ._sources import Named, find_column

    name = join_names(logs)
    progress(f"reading {name}")
    log = read_log(logs, named=Named(**options.of_sources(ctx)), **options.of_logs(ctx))
    systems = find_column(log.frame, by)
    if systems is None:
        raise UnusedParameterError(
            f"--by names {by}, but {name} has the columns {', '.join(map(str, log.frame.columns))}."
        )
    labels = systems.astype(object).where(systems.isna(), systems.astype(str)).to_numpy()
    columns = dict(log.columns)
    verified = columns.pop("verified", None)
    X = encode(ConversationEncoder(model, cache_dir=cache_dir), log.text)
    progress("fitting selection")
    selection = SelectionModel(
        base_rate=base_rate,
        false_positive_rate=false_positive_rate,
        false_negative_rate=false_negative_rate,
        random_state=random_state,
    )
    with warnings.catch_warnings():
        if verified is not None:  # they settle below what the log leaves open
            warnings.simplefilter("ignore", BaseRateUncertainWarning)
        selection.fit(X, log.y, **log.clusters(), **columns, **log.sources.columns)
    found = compare_sets(
        selection,
        X,
        log.y,
        by=labels,
        baseline=baseline,
        paired=paired,
        verified=verified,
        verified_propensity=None if verified is None else log.verified_propensity,
        trust_log=not distrust_log,
        random_state=random_state,
        **log.clusters(),
        **columns,
    )
    if as_json:
        sets = found.table().reset_index().replace({np.nan: None}).to_dict("records")
        facts = {"by": by, "baseline": found.baseline, "paired": paired, "sets": sets}
        orders = {"order": found.order, "naive_order": found.naive_order}
        print_json(
            {**log.counts(), **facts, **orders, "verdict": found.verdict(), "warnings": ctx.obj}
        )
    else:
        _print(found)


def _print(found: Comparison) -> None:
    columns = ["", "rows", "rated", "liked", "good (90%)", "rank (by thumbs)"]
    print_table(
        f"Share of good answers, and points more than {found.baseline}",
        [*columns, "points (90%)", "level from"],
        _lines(found),
    )
    typer.echo(found.verdict())


def _lines(found: Comparison) -> Iterator[list[str]]:
    for name, row in found.table().iterrows():
        low, high = (100 * row[f"difference_{end}"] for end in ("low", "high"))
        yield [
            str(name),
            f"{row.rows:,}",
            f"{row.rated_share:.0%}",
            f"{row.liked_share:.0%}" if row.rated_share else "-",
            f"{row.estimate:.0%} ({100 * row.low:.0f} to {100 * row.high:.0f})",
            f"{row['rank']} ({row.naive_rank:.0f})" if row.rated_share else f"{row['rank']}",
            "" if name == found.baseline else _points(100 * row.difference, low, high),
            f"{row.verified:,} verified" if row.verified else row.source,
        ]


def _points(*values: float) -> str:
    """Return a difference with its interval, without a minus before 0."""
    return "{:+.0f} ({:+.0f} to {:+.0f})".format(*(round(value) + 0.0 for value in values))
