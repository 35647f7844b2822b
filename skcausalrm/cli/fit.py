"""``skcausalrm fit``: a feedback log in, a model directory out."""

from __future__ import annotations

import warnings
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import _options as options
from ._console import print_json, print_table, progress
from ._logs import FeedbackLog, read_log
from ._models import check_saving, encode, encoder_settings
from ._prompts import pack_prompts
from ._scores import all_scores, score_columns, score_rows

if TYPE_CHECKING:
    import numpy as np

    from .. import CausalRewardRegressor

__all__ = ["fit"]


class Method(StrEnum):
    """Recipes of `CausalRewardRegressor`."""

    dr = "dr"
    snips = "snips"
    ips = "ips"
    noise = "noise"
    naive = "naive"


class Head(StrEnum):
    """Heads by name."""

    ridge = "ridge"
    mlp = "mlp"


def fit(
    ctx: typer.Context,
    logs: options.Logs,
    out: Annotated[Path, typer.Option(help="Model directory to write.")],
    scores: options.Scores = None,
    format: options.Format = "auto",
    feedback_name: options.FeedbackName = None,
    verified: options.Verified = None,
    asked: options.AskedName = None,
    imputation_name: options.ImputationName = None,
    model: Annotated[
        str, typer.Option(help="Encoder: a name on the Hugging Face hub, or a folder.")
    ] = "sentence-transformers/all-MiniLM-L6-v2",
    method: Annotated[Method, typer.Option(help="How feedback is corrected.")] = Method.dr,
    head: Annotated[Head, typer.Option(help="Closed-form ridge, or a torch network.")] = Head.ridge,
    false_positive_rate: options.FalsePositiveRate = None,
    false_negative_rate: options.FalseNegativeRate = None,
    cache_dir: options.CacheDirectory = None,
    random_state: options.RandomState = 0,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Fit a reward model on a feedback log and save it with a report.

    The report's scores are out of fold: of models that have not seen the prompt.
    """
    known_rates = (false_positive_rate, false_negative_rate)
    if method == Method.naive and any(rate is not None for rate in known_rates):
        raise typer.BadParameter("--method naive corrects no flips: leave the flip rates out.")
    if method != Method.dr and imputation_name is not None:
        raise typer.BadParameter(
            f"--method {method.value} uses no imputation: leave --imputation-name out."
        )
    options.check_parent(out)
    check_saving(out, overwrite)

    from ..embedding import ConversationEncoder
    from ..export import save_model_directory

    progress(f"reading {logs}")
    log = read_log(
        logs,
        scores=scores,
        format=format,
        feedback_name=feedback_name,
        verified=verified or (),
        asked_name=asked,
        imputation_name=imputation_name,
    )
    if method != Method.dr and "imputation" in log.columns:
        progress(f"the column imputation serves the scores alone: {method.value} does not use it")
    encoder = ConversationEncoder(model, cache_dir=cache_dir)
    X = encode(encoder, log.text)
    progress(f"fitting {method.value} with a {head.value} head")
    reward = _make_model(method, head, known_rates, random_state)
    columns = {
        name: values
        for name, values in log.columns.items()
        if name != "imputation" or method == Method.dr
    }
    reward.fit(X, log.y, groups=log.groups, **columns)
    progress("scoring out of fold")
    report = {
        **log.counts(),
        "log": str(logs),
        "method": method.value,
        "head": head.value,
        **_nuisance_report(reward),
        "known_flip_rates": known_rates,
        "truncated_texts": encoder.truncated_count_,
        "random_state": random_state,
        "sets": _out_of_fold_scores(reward, X, log, columns, known_rates),
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


def _make_model(method: Method, head: Head, known_rates, random_state) -> CausalRewardRegressor:
    from .. import CausalRewardRegressor

    return CausalRewardRegressor(
        method.value,
        "mlp" if head == Head.mlp else None,
        noise_estimator=noise_estimator(known_rates, random_state),
        random_state=random_state,
    )


def noise_estimator(known_rates: tuple[float | None, float | None], random_state: int) -> Any:
    """Return an estimator with the rates that are known, or None if neither is."""
    from .. import NoiseTransitionEstimator

    if all(rate is None for rate in known_rates):
        return None
    return NoiseTransitionEstimator(
        false_positive_rate=known_rates[0],
        false_negative_rate=known_rates[1],
        random_state=random_state,
    )


def _nuisance_report(reward: CausalRewardRegressor) -> dict[str, Any]:
    noise, propensity = reward.noise_estimator_, reward.propensity_estimator_
    return {
        **{
            f"{name}_rate{ending}": None
            if noise is None
            else float(getattr(noise, f"{name}_rate{ending}_"))
            for name in ("false_positive", "false_negative")
            for ending in ("", "_std")
        },
        "clipped_share": None if propensity is None else float(propensity.clipped_share_),
        "effective_sample_size": float(reward.effective_sample_size_),
    }


def _out_of_fold_scores(
    reward: CausalRewardRegressor,
    X: np.ndarray,
    log: FeedbackLog,
    columns: dict[str, np.ndarray],
    known_rates: tuple[float | None, float | None],
) -> dict[str, Any]:
    """Score clones of `reward`, each on prompts that it was not fitted on."""
    import numpy as np

    from ..crossfit import cross_fit, make_folds
    from ..exceptions import SkcausalrmWarning
    from ..metrics import pseudo_outcomes

    seed = reward.random_state
    folds = make_folds(X, log.y, log.groups, reward.cv, seed)
    with warnings.catch_warnings():
        # Each fold would say again, of fewer rows, what the fit on all rows has said.
        warnings.simplefilter("ignore", SkcausalrmWarning)
        z = pseudo_outcomes(
            X,
            log.y,
            groups=log.groups,
            asked=log.columns.get("asked"),
            imputation=log.columns.get("imputation"),
            noise_estimator=noise_estimator(known_rates, seed),
            random_state=seed,
        )
        _, prediction = cross_fit(
            reward,
            X,
            log.y,
            folds,
            rows=np.ones(len(X), dtype=bool),
            fit_params={"groups": log.groups, **columns},
            predict=lambda fitted, rows: fitted.predict(rows),
        )
    noise = reward.noise_estimator_
    return all_scores(log, z, prediction, (0.0, 0.0) if noise is None else noise.rates_)


def _print_report(report: dict[str, Any]) -> None:
    def rate(name: str) -> str:
        if report[name] is None:
            return "not corrected"
        return f"{report[name]:.3f} ± {report[f'{name}_std']:.3f}"

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
        ("false positive rate", rate("false_positive_rate")),
        ("false negative rate", rate("false_negative_rate")),
        ("propensities at the threshold", "-" if clipped is None else f"{clipped:.1%}"),
        ("effective sample size", f"{report['effective_sample_size']:,.0f}"),
        ("truncated texts", f"{report['truncated_texts']:,}"),
    ]
    print_table(f"Fit: {report['method']}, {report['head']} head", ["", "value"], lines)
    print_table(
        "Scores on prompts not trained on, ± standard error",
        score_columns("rows of"),
        score_rows(report["sets"].items()),
    )
