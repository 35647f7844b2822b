"""``skcausalrm fit``: a model directory from feedback logs."""

from __future__ import annotations

import warnings
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .._utils._warnings import warn
from ..exceptions import MethodFallbackWarning, UnusedParameterError
from . import _options as options
from ._console import print_json, progress
from ._fit_report import model_facts, print_report, selection_facts
from ._logs import FeedbackLog, join_names, read_log
from ._models import check_saving, encode
from ._prompts import pack_prompts
from ._scores import all_scores

if TYPE_CHECKING:
    import numpy as np

    from .. import CausalRewardRegressor, NoiseTransitionEstimator

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
    known_rates = {
        "false_positive_rate": false_positive_rate,
        "false_negative_rate": false_negative_rate,
    }
    known_base_rate = options.parse_base_rate(base_rate)
    if known_base_rate is not None and method not in (Method.auto, Method.selection):
        raise typer.BadParameter(
            f"--method {method.value} uses no base rate: leave it out, or choose selection."
        )
    if method == Method.naive and set(known_rates.values()) != {None}:
        raise typer.BadParameter("--method naive corrects no flips: leave the flip rates out.")
    if method != Method.dr and judge_score_name is not None:
        raise typer.BadParameter(
            f"--method {method.value} uses no judge score: leave --judge-score-name out."
        )
    options.check_parent(out)
    check_saving(out, overwrite)

    from .. import CausalRewardRegressor, ConversationEncoder
    from ..export import save_model_directory
    from ..text._saved import encoder_settings

    progress(f"reading {join_names(logs)}")
    log = read_log(
        logs,
        scores=scores,
        format=format,
        feedback_name=feedback_name,
        verified=verified or (),
        asked_name=asked,
        judge_score_name=judge_score_name,
    )
    columns = dict(log.columns)
    if method != Method.dr and columns.pop("judge_score", None) is not None:
        progress(
            f"the column judge_score is used for the scores alone: {method.value} does not use it"
        )
    encoder = ConversationEncoder(model, cache_dir=cache_dir)
    X = encode(encoder, log.text)
    progress(f"fitting {method.value}")
    reward = CausalRewardRegressor(
        _correction(method, known_rates, known_base_rate, log.y),
        _head(head),
        random_state=random_state,
    ).fit(X, log.y, groups=log.groups, users=log.users, **columns)
    progress("scoring out of fold")
    report = {
        **log.counts(),
        "logs": [str(path) for path in logs],
        "method": method.value,
        **model_facts(reward),
        "selection": selection_facts(reward, X, log),
        "known_flip_rates": tuple(known_rates.values()),
        "known_base_rate": known_base_rate,
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
        print_report(report)
        typer.echo(f"wrote {out}")


def _correction(
    method: Method,
    known_rates: dict[str, float | None],
    base_rate: float | tuple[float, float] | None,
    y: np.ndarray,
) -> Any:
    """Return the method by name, or as an object that holds the known rates."""
    import numpy as np

    from .. import DoublyRobust, InversePropensity, NoiseOnly, SelectionModel

    noise = _noise_estimator(known_rates)
    if noise is None and base_rate is None:
        return method.value
    if method == Method.auto:
        method = Method.selection if np.isnan(y).any() else Method.noise
        if method == Method.noise:
            warn(
                f"--method auto used 'noise', because all {len(y)} rows are rated: name a method "
                f"to choose it yourself.",
                MethodFallbackWarning,
            )
    if method == Method.noise and base_rate is not None:
        raise UnusedParameterError(
            "--base-rate is for the selection likelihood, which needs unrated rows: leave it out, "
            "or add the answers without feedback to the logs."
        )
    if method == Method.selection:
        return SelectionModel(base_rate=base_rate, **known_rates)
    if method == Method.dr:
        return DoublyRobust(noise_estimator=noise)
    if method == Method.noise:
        return NoiseOnly(noise_estimator=noise)
    return InversePropensity(noise_estimator=noise, normalize=method == Method.snips)


def _noise_estimator(known_rates: dict[str, float | None]) -> NoiseTransitionEstimator | None:
    """Return an estimator that holds the known flip rates, or None if no rate is known."""
    from .. import NoiseTransitionEstimator

    return None if set(known_rates.values()) == {None} else NoiseTransitionEstimator(**known_rates)


def _head(head: Head | None) -> Any:
    from ..heads import MLPHead, RidgeHead

    return None if head is None else {Head.ridge: RidgeHead, Head.mlp: MLPHead}[head]()


def _out_of_fold_scores(
    reward: CausalRewardRegressor,
    X: np.ndarray,
    log: FeedbackLog,
    columns: dict[str, np.ndarray],
    known_rates: dict[str, float | None],
) -> dict[str, Any]:
    """Return scores of clones of `reward`, each on prompts that it was not fitted on."""
    import numpy as np
    from sklearn.base import clone

    from .. import DoublyRobust
    from ..exceptions import SkcausalrmWarning
    from ..metrics import pseudo_outcomes
    from ..model_selection._cross_fitting import cross_fit, make_folds

    folds = make_folds(X, log.y, log.groups, reward.cv, reward.random_state)
    fold_reward = clone(reward)
    if reward.method == "auto":  # every fold by the method of the whole log
        fold_reward.set_params(method=reward.method_)
    with warnings.catch_warnings():
        # The fit on all rows has given these warnings already.
        warnings.simplefilter("ignore", SkcausalrmWarning)
        if reward.method_ == "selection":
            z = reward.target_  # out of fold already
        else:
            z = pseudo_outcomes(
                X,
                log.y,
                method=DoublyRobust(noise_estimator=_noise_estimator(known_rates)),
                groups=log.groups,
                asked=log.columns.get("asked"),
                judge_score=log.columns.get("judge_score"),
                random_state=reward.random_state,
            )
        _, prediction = cross_fit(
            fold_reward,
            X,
            log.y,
            folds,
            rows=np.ones(len(X), dtype=bool),
            fit_params={"groups": log.groups, **columns},
            predict=lambda fitted, rows: fitted.predict(rows),
        )
    return all_scores(log, z, prediction, reward.nuisances_.rates)
