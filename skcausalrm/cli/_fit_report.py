"""Report of a fit: facts for JSON and for the model directory, and tables for the terminal."""

import math
from typing import Any

import typer

from .. import CausalRewardRegressor
from ..reward import selection_report
from ._console import print_table
from ._logs import FeedbackLog
from ._scores import ERRORS, score_columns, score_rows

_RATES = ("false_positive_rate", "false_negative_rate")


def model_facts(reward: CausalRewardRegressor) -> dict[str, Any]:
    """Return method, head, flip rates and overlap of a fitted reward; None where there is none."""
    nuisances = reward.nuisances_
    # Flips are corrected by one of the two; only the first has standard errors.
    source = nuisances.noise_estimator or nuisances.selection_model
    return {
        "method_used": reward.method_,
        "head": type(reward.estimator_).__name__.removesuffix("Head").lower(),
        **{
            f"{rate}{ending}": getattr(source, f"{rate}{ending}_", None)
            for rate in _RATES
            for ending in ("", "_std")
        },
        "clipped_share": getattr(nuisances.propensity_estimator, "clipped_share_", None),
        "effective_sample_size": reward.effective_sample_size_,
    }


def selection_facts(reward: CausalRewardRegressor, X, log: FeedbackLog) -> dict[str, Any] | None:
    """Return `selection_report` as JSON can hold it, or None for another method."""
    if reward.method_ != "selection":
        return None
    columns = {name: log.columns.get(name) for name in ("asked", "verified")}
    return _plain(selection_report(reward, X, log.y, groups=log.groups, users=log.users, **columns))


def unused_sources(reward: CausalRewardRegressor) -> list[tuple[str, str]]:
    """Return what was given to tell the base rate and does not, each with the reason."""
    model = reward.nuisances_.selection_model
    sources = {} if model is None else model.level_source_
    return [(name, reason) for name, reason in sources.items() if reason != "used"]


def _plain(value: Any) -> Any:
    """Replace NaN by None in nested dictionaries."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def print_report(report: dict[str, Any]) -> None:
    """Print the report of `fit` as tables."""
    selection = report["selection"]
    used = report["method_used"]
    method = used if used == report["method"] else f"{report['method']} ({used})"
    print_table(f"Fit: {method}, {report['head']} head", ["", "value"], _summary_lines(report))
    print_table(
        f"Scores on prompts not trained on, {ERRORS}",
        score_columns("rows of"),
        score_rows(report["sets"].items()),
    )
    if selection is not None:
        print_table(
            "Every recipe on these logs, scored against draws from the posterior of selection",
            ["recipe", "base rate", "false positive", "false negative", "R2", "AUROC"],
            [_recipe_line(name, facts) for name, facts in selection["recipes"].items()],
        )
        typer.echo(selection["advice"])


def _summary_lines(report: dict[str, Any]) -> list[tuple[str, str]]:
    selection, clipped = report["selection"], report["clipped_share"]
    counts = {
        "rows": report["rows"],
        "rows dropped as duplicates": report["import"].get("n_duplicates"),
        "prompts (groups)": report["groups"],
    }
    return [
        *((name, f"{count:,}") for name, count in counts.items() if count),
        ("rated rows", f"{report['rated']:,} ({report['rated_share']:.1%})"),
        ("positive among the rated", f"{report['positive_share_of_rated']:.3f}"),
        *(
            (f"{name} rows", f"{report[name]:,}")
            for name in ("verified", "asked")
            if name in report
        ),
        *([] if selection is None else _selection_lines(selection)),
        *((rate.replace("_", " "), _rate(report, rate)) for rate in _RATES),
        ("propensities at the threshold", "-" if clipped is None else f"{clipped:.1%}"),
        ("effective sample size", f"{report['effective_sample_size']:,.0f}"),
        (
            "shortened prompts, answers",
            f"{report['truncated_prompts']:,}, {report['truncated_answers']:,}",
        ),
    ]


def _rate(report: dict[str, Any], name: str) -> str:
    value, std = report[name], report[f"{name}_std"]
    if value is None:
        return "not corrected"
    return f"{value:.3f}" + ("" if std is None else f" ± {std:.3f}")


def _selection_lines(selection: dict[str, Any]) -> list[tuple[str, str]]:
    low, high = selection["base_rate_interval"]
    odds, std = selection["selection_log_odds"], selection["selection_log_odds_std"]
    odds_and_std = "unknown" if odds is None else f"{odds:+.2f} ± {std:.2f}"
    used = [name for name, reason in selection["level_source"].items() if reason == "used"]
    return [
        ("base rate (90% interval)", f"{selection['base_rate']:.3f} ({low:.3f} to {high:.3f})"),
        ("base rate told by", ", ".join(used) or "the likelihood alone"),
        ("log odds of a rating, liked against disliked", odds_and_std),
    ]


def _recipe_line(name: str, facts: dict[str, Any]) -> list[str]:
    if "error" in facts:
        return [name, *["-"] * 5]
    rates = [f"{facts[rate]:.3f}" for rate in ("base_rate", *_RATES)]
    scores = [
        f"{facts[score]:.3f} ± {facts[f'{score}_std']:.3f}"
        for score in ("debiased_r2", "debiased_roc_auc")
    ]
    return [name, *rates, *scores]
