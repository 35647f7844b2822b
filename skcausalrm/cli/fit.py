"""``skcausalrm fit``: a model directory from feedback logs."""

from __future__ import annotations

import warnings
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import _options as options
from ._console import print_json, print_table, progress
from ._known import Known, parse_base_rate, selection_facts
from ._logs import FeedbackLog, join_names, read_log
from ._models import check_saving, encode
from ._prompts import pack_prompts
from ._scores import all_scores, score_columns, score_rows

if TYPE_CHECKING:
    import numpy as np

    from .. import CausalRewardRegressor

__all__ = ["fit"]


class Method(StrEnum):
    """Names of the methods of `CausalRewardRegressor`."""

    auto = "auto"
    selection = "selection"
    dr = "dr"
    snips = "snips"
    ips = "ips"
    noise = "noise"
    naive = "naive"


_WITH_SELECTION = (Method.auto, Method.selection)


class Head(StrEnum):
    """Names of heads."""

    ridge = "ridge"
    mlp = "mlp"


def fit(
    ctx: typer.Context,
    logs: options.Logs,
    out: Annotated[Path, typer.Option(help="Model directory to write.", show_default=False)],
    scores: options.Scores = None,
    format: options.Format = "auto",
    feedback_name: options.FeedbackName = None,
    verified: options.Verified = None,
    asked: options.AskedName = None,
    judge_score_name: options.JudgeScoreName = None,
    model: Annotated[
        str, typer.Option(help="Encoder: a name on the Hugging Face hub, or a folder.")
    ] = "sentence-transformers/all-MiniLM-L6-v2",
    method: Annotated[
        Method,
        typer.Option(help="Correction of the feedback: auto is selection wherever it is possible."),
    ] = Method.auto,
    head: Annotated[
        Head | None,
        typer.Option(
            help="Ridge regression or a torch network. Default: the mixture of selection, else "
            "ridge.",
            show_default=False,
        ),
    ] = None,
    false_positive_rate: options.FalsePositiveRate = None,
    false_negative_rate: options.FalseNegativeRate = None,
    base_rate: options.BaseRate = None,
    cache_dir: options.CacheDirectory = None,
    random_state: options.RandomState = 0,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Fit a reward model on feedback logs and save it with a report.

    The report's scores are out of fold: each prompt is scored by a model fitted without it.
    """
    reading: dict[str, Any] = {
        "scores": scores or None,
        "format": format,
        "feedback_name": feedback_name,
        "verified": verified or (),
        "asked_name": asked,
    }
    known = Known(false_positive_rate, false_negative_rate, parse_base_rate(base_rate))
    if known.base_rate is not None and method not in _WITH_SELECTION:
        raise typer.BadParameter(
            f"--method {method.value} uses no base rate: leave it out, or choose selection."
        )
    if method == Method.naive and known.flip_rates != (None, None):
        raise typer.BadParameter("--method naive corrects no flips: leave the flip rates out.")
    if method != Method.dr and judge_score_name is not None:
        raise typer.BadParameter(
            f"--method {method.value} uses no judge score: leave --judge-score-name out."
        )
    options.check_parent(out)
    check_saving(out, overwrite)

    from ..export import save_model_directory
    from ..text import ConversationEncoder
    from ..text._saved import encoder_settings

    progress(f"reading {join_names(logs)}")
    log = read_log(logs, **reading, judge_score_name=judge_score_name)
    imputed = method == Method.dr
    if not imputed and "judge_score" in log.columns:
        progress(
            f"the column judge_score is used for the scores alone: {method.value} does not use it"
        )
    encoder = ConversationEncoder(model, cache_dir=cache_dir)
    X = encode(encoder, log.text)
    columns = {
        name: values for name, values in log.columns.items() if name != "judge_score" or imputed
    }
    progress(f"fitting {method.value}")
    reward = _make_model(method, head, known, log.y, random_state)
    reward.fit(X, log.y, groups=log.groups, **columns)
    progress("scoring out of fold")
    report = {
        **log.counts(),
        "logs": [str(path) for path in logs],
        "method": method.value,
        "method_used": reward.method_,
        "head": _head_name(reward),
        **_nuisance_report(reward),
        "known_flip_rates": known.flip_rates,
        "known_base_rate": known.base_rate,
        "truncated_texts": encoder.truncated_count_,
        "random_state": random_state,
        "sets": _out_of_fold_scores(reward, X, log, columns, known),
        "warnings": ctx.obj,
    }
    save_model_directory(
        reward,
        out,
        encoder_settings=encoder_settings(encoder),
        report={**report, "training_prompts": pack_prompts(log.text)},
        overwrite=overwrite,
    )
    if as_json:
        print_json({"model_directory": str(out), **report})
    else:
        _print_report(report)
        typer.echo(f"wrote {out}")


def _make_model(
    method: Method, head: Head | None, known: Known, y: np.ndarray, random_state: int
) -> CausalRewardRegressor:
    import numpy as np

    from .. import CausalRewardRegressor
    from ..heads import RidgeHead

    # Without unrated rows auto corrects flips alone.
    with_selection = method in _WITH_SELECTION and bool(np.isnan(y).any())
    heads = {None: None, Head.mlp: "mlp", Head.ridge: RidgeHead() if with_selection else None}
    return CausalRewardRegressor(
        method.value,
        heads[head],
        noise_estimator=None if with_selection else known.noise_estimator(random_state),
        selection_model=known.selection_model(random_state) if with_selection else None,
        random_state=random_state,
    )


def _head_name(reward: CausalRewardRegressor) -> str:
    name = type(reward.estimator_).__name__
    return name.removesuffix("Head").lower()


def _nuisance_report(reward: CausalRewardRegressor) -> dict[str, Any]:
    noise, propensity = reward.noise_estimator_, reward.propensity_estimator_
    fitted = noise or reward.selection_model_

    def rate(name: str) -> float | None:
        value = getattr(fitted, name, None)  # a selection model has no standard errors of rates
        return None if value is None else float(value)

    return {
        **{
            f"{name}_rate{ending}": rate(f"{name}_rate{ending}_")
            for name in ("false_positive", "false_negative")
            for ending in ("", "_std")
        },
        "clipped_share": None if propensity is None else float(propensity.clipped_share_),
        "effective_sample_size": float(reward.effective_sample_size_),
        "selection": selection_facts(reward),
    }


def _out_of_fold_scores(
    reward: CausalRewardRegressor,
    X: np.ndarray,
    log: FeedbackLog,
    columns: dict[str, np.ndarray],
    known: Known,
) -> dict[str, Any]:
    """Return scores of clones of `reward`, each on prompts that it was not fitted on."""
    import numpy as np
    from sklearn.base import clone

    from ..exceptions import SkcausalrmWarning
    from ..metrics import pseudo_outcomes
    from ..model_selection._cross_fitting import cross_fit, make_folds

    seed = reward.random_state
    folds = make_folds(X, log.y, log.groups, reward.cv, seed)
    with warnings.catch_warnings():
        # The fit on all rows has given these warnings already.
        warnings.simplefilter("ignore", SkcausalrmWarning)
        if reward.method_ == "selection":
            z = reward.target_  # out of fold already
        else:
            z = pseudo_outcomes(
                X,
                log.y,
                groups=log.groups,
                asked=log.columns.get("asked"),
                judge_score=log.columns.get("judge_score"),
                noise_estimator=known.noise_estimator(seed),
                random_state=seed,
            )
        _, prediction = cross_fit(
            clone(reward).set_params(method=reward.method_),
            X,
            log.y,
            folds,
            rows=np.ones(len(X), dtype=bool),
            fit_params={"groups": log.groups, **columns},
            predict=lambda fitted, rows: fitted.predict(rows),
        )
    facts = _nuisance_report(reward)
    rates = facts["false_positive_rate"] or 0.0, facts["false_negative_rate"] or 0.0
    return all_scores(log, z, prediction, rates)


def _print_report(report: dict[str, Any]) -> None:
    def rate(name: str) -> str:
        if report[name] is None:
            return "not corrected"
        std = report[f"{name}_std"]
        return f"{report[name]:.3f}" + ("" if std is None else f" ± {std:.3f}")

    selection = report["selection"]
    clipped = report["clipped_share"]
    lines = [
        ("rows", f"{report['rows']:,}"),
        ("prompts (groups)", f"{report['groups']:,}"),
        ("rated rows", f"{report['rated']:,} ({report['rated_share']:.1%})"),
        ("positive among the rated", f"{report['positive_share_of_rated']:.3f}"),
        *(
            (f"{name} rows", f"{report[name]:,}")
            for name in ("verified", "asked")
            if name in report
        ),
        *([] if selection is None else _selection_lines(selection)),
        ("false positive rate", rate("false_positive_rate")),
        ("false negative rate", rate("false_negative_rate")),
        ("propensities at the threshold", "-" if clipped is None else f"{clipped:.1%}"),
        ("effective sample size", f"{report['effective_sample_size']:,.0f}"),
        ("truncated texts", f"{report['truncated_texts']:,}"),
    ]
    used = report["method_used"]
    method = used if used == report["method"] else f"{report['method']} ({used})"
    print_table(f"Fit: {method}, {report['head']} head", ["", "value"], lines)
    print_table(
        "Scores on prompts not trained on, ± standard error",
        score_columns("rows of"),
        score_rows(report["sets"].items()),
    )
    if selection is not None and "recipes" in selection:
        print_table(
            "Every recipe on this log, scored against the posterior of selection",
            ["recipe", "base rate", "false positive", "false negative", "R2", "AUROC"],
            [_recipe_line(name, facts) for name, facts in selection["recipes"].items()],
        )
        typer.echo(selection["advice"])


def _selection_lines(selection: dict[str, Any]) -> list[tuple[str, str]]:
    low, high = selection["base_rate_interval"]
    odds, std = selection["selection_log_odds"], selection["selection_log_odds_std"]
    return [
        (
            "base rate (90% interval)",
            f"{selection['base_rate']:.3f} ({low:.3f} to {high:.3f})",
        ),
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
