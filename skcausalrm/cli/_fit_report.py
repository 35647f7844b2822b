"""Report of a fit: facts for JSON and for the model directory, and tables for the terminal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import typer

from ._console import print_table
from ._scores import score_columns, score_rows

if TYPE_CHECKING:
    from .. import CausalRewardRegressor
    from ._logs import FeedbackLog

__all__ = ["model_facts", "print_report", "selection_facts"]


def model_facts(reward: CausalRewardRegressor) -> dict[str, Any]:
    """Return method, head, flip rates and overlap of a fitted reward; None where there is none."""
    nuisances = reward.nuisances_
    # Flips are corrected by one of the two; only the first has standard errors.
    source = nuisances.noise_estimator or nuisances.selection_model
    propensity = nuisances.propensity_estimator

    def rate(name: str) -> float | None:
        value = getattr(source, name, None)
        return None if value is None else float(value)

    return {
        "method_used": reward.method_,
        "head": type(reward.estimator_).__name__.removesuffix("Head").lower(),
        **{
            f"{name}_rate{ending}": rate(f"{name}_rate{ending}_")
            for name in ("false_positive", "false_negative")
            for ending in ("", "_std")
        },
        "clipped_share": None if propensity is None else float(propensity.clipped_share_),
        "effective_sample_size": float(reward.effective_sample_size_),
    }


def selection_facts(reward: CausalRewardRegressor, X, log: FeedbackLog) -> dict[str, Any] | None:
    """Return `selection_report` as JSON can hold it, or None for another method."""
    from ..reward import selection_report

    if reward.method_ != "selection":
        return None
    columns = {name: log.columns.get(name) for name in ("asked", "verified")}
    return _plain(selection_report(reward, X, log.y, groups=log.groups, users=log.users, **columns))


def _plain(value: Any) -> Any:
    """Convert to text keys, lists and plain numbers; NaN becomes None."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, str | int):
        return value
    return None if math.isnan(value) else float(value)


def print_report(report: dict[str, Any]) -> None:
    """Print the report of `fit` as tables."""
    selection = report["selection"]
    used = report["method_used"]
    method = used if used == report["method"] else f"{report['method']} ({used})"
    print_table(f"Fit: {method}, {report['head']} head", ["", "value"], _summary_lines(report))
    print_table(
        "Scores on prompts not trained on, ± standard error",
        score_columns("rows of"),
        score_rows(report["sets"].items()),
    )
    if selection is not None:
        print_table(
            "Every recipe on these logs, scored against the posterior of selection",
            ["recipe", "base rate", "false positive", "false negative", "R2", "AUROC"],
            [_recipe_line(name, facts) for name, facts in selection["recipes"].items()],
        )
        typer.echo(selection["advice"])


def _summary_lines(report: dict[str, Any]) -> list[tuple[str, str]]:
    selection, clipped = report["selection"], report["clipped_share"]
    return [
        ("rows", f"{report['rows']:,}"),
        *_duplicates_line(report),
        ("prompts (groups)", f"{report['groups']:,}"),
        ("rated rows", f"{report['rated']:,} ({report['rated_share']:.1%})"),
        ("positive among the rated", f"{report['positive_share_of_rated']:.3f}"),
        *(
            (f"{name} rows", f"{report[name]:,}")
            for name in ("verified", "asked")
            if name in report
        ),
        *([] if selection is None else _selection_lines(selection)),
        ("false positive rate", _rate(report, "false_positive_rate")),
        ("false negative rate", _rate(report, "false_negative_rate")),
        ("propensities at the threshold", "-" if clipped is None else f"{clipped:.1%}"),
        ("effective sample size", f"{report['effective_sample_size']:,.0f}"),
        ("truncated texts", f"{report['truncated_texts']:,}"),
    ]


def _duplicates_line(report: dict[str, Any]) -> list[tuple[str, str]]:
    """Return a line on rows that occurred in several logs, if there were any."""
    dropped = report["import"].get("n_duplicates", 0)
    return [("rows dropped as duplicates", f"{dropped:,}")] if dropped else []


def _rate(report: dict[str, Any], name: str) -> str:
    if report[name] is None:
        return "not corrected"
    std = report[f"{name}_std"]
    return f"{report[name]:.3f}" + ("" if std is None else f" ± {std:.3f}")


def _selection_lines(selection: dict[str, Any]) -> list[tuple[str, str]]:
    low, high = selection["base_rate_interval"]
    odds, std = selection["selection_log_odds"], selection["selection_log_odds_std"]
    return [
        ("base rate (90% interval)", f"{selection['base_rate']:.3f} ({low:.3f} to {high:.3f})"),
        (
            "log odds of a rating, liked against disliked",
            "unknown" if odds is None else f"{odds:+.2f}" + f" ± {std:.2f}" * (std is not None),
        ),
    ]


def _recipe_line(name: str, facts: dict[str, Any]) -> list[str]:
    columns = ("base_rate", "false_positive_rate", "false_negative_rate")
    scores = ("debiased_r2", "debiased_roc_auc")
    if "error" in facts:
        return [name, *["-"] * (len(columns) + len(scores))]
    return [
        name,
        *(f"{facts[column]:.3f}" for column in columns),
        *(f"{facts[score]:.3f} ± {facts[f'{score}_std']:.3f}" for score in scores),
    ]
