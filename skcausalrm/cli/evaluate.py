"""``skcausalrm evaluate``: debiased scores of a model on logs it was not trained on."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import _options as options
from ._console import print_json, print_table, progress
from ._logs import FeedbackLog, join_names, read_log
from ._models import encode
from ._prompts import count_shared
from ._scores import all_scores, score_columns, score_rows, scores_by

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = ["evaluate"]

# Minimum ratings of each class that scores need.
_MIN_RATED = 20


class Period(StrEnum):
    """Calendar periods, in UTC."""

    day = "D"
    week = "W"
    month = "M"


def evaluate(
    ctx: typer.Context,
    model_dir: options.ModelDirectory,
    logs: options.Logs,
    scores: options.Scores = None,
    format: options.Format = "auto",
    feedback_name: options.FeedbackName = None,
    verified: options.Verified = None,
    asked: options.AskedName = None,
    judge_score_name: options.JudgeScoreName = None,
    false_positive_rate: options.FalsePositiveRate = None,
    false_negative_rate: options.FalseNegativeRate = None,
    base_rate: options.BaseRate = None,
    period: Annotated[
        Period | None,
        typer.Option(
            help="Also score each day, week or month. Default: W, if the logs have times.",
            show_default=False,
        ),
    ] = None,
    cache_dir: options.CacheDirectory = None,
    random_state: options.RandomState = 0,
    as_json: options.AsJson = False,
) -> None:
    """Estimate a model's scores against clean labels on held-out logs, with standard errors.

    Labels are replaced by pseudo-outcomes, cross-fitted on these logs alone:
    by the selection likelihood if the model was fitted by it, else doubly robust.
    Flip rates are the given ones, else the ones given to `fit`, else estimated.
    """
    from ..exceptions import UnusedParameterError
    from ..export import load_model_directory
    from ..text._saved import load_encoder

    known_base_rate = options.parse_base_rate(base_rate)
    model = load_model_directory(model_dir)
    report = model.report or {}
    method = "selection" if model.config["method"] == "selection" else "dr"
    if known_base_rate is not None and method == "dr":
        raise UnusedParameterError(
            f"--base-rate is for the selection likelihood, but {model_dir} was not fitted by it: "
            "leave it out."
        )
    name = join_names(logs)
    progress(f"reading {name}")
    log = read_log(
        logs,
        scores=scores,
        format=format,
        feedback_name=feedback_name,
        verified=verified or (),
        asked_name=asked,
        judge_score_name=judge_score_name,
    )
    _refuse_unusable(log, name)
    times = log.frame.get("timestamp")
    if period is not None and times is None:
        raise UnusedParameterError(
            f"--period was given, but {name} has no column 'timestamp': leave it out."
        )
    shared = count_shared(log.text, report.get("training_prompts"))
    encoder = load_encoder(model.encoder_settings, model_dir, cache_dir)
    X = encode(encoder, log.text)
    prediction = model.scorer.predict(X)

    progress("fitting pseudo-outcomes")
    fitted_with = report.get("known_flip_rates", (None, None))
    known_rates = (
        _first(false_positive_rate, fitted_with[0]),
        _first(false_negative_rate, fitted_with[1]),
    )
    if method == "selection":
        z, rates = _by_selection(X, log, known_rates, known_base_rate, random_state)
    else:
        z, rates = _doubly_robust(X, log, known_rates, random_state)
    result = {
        **log.counts(),
        "model_directory": str(model_dir),
        "logs": [str(path) for path in logs],
        "shared_prompts": shared,
        "pseudo_outcomes": method,
        "false_positive_rate": rates[0],
        "false_negative_rate": rates[1],
        "truncated_texts": encoder.truncated_count_,
        "sets": all_scores(log, z, prediction, rates),
    }
    if times is not None:
        result["periods"] = scores_by(_calendar(times, period or Period.week), log, z, prediction)
    if "model" in log.frame.columns:
        result["models"] = scores_by(log.frame["model"], log, z, prediction)
    if as_json:
        print_json({**result, "warnings": ctx.obj})
    else:
        _print_tables(result)


def _by_selection(
    X: np.ndarray,
    log: FeedbackLog,
    known_rates: tuple[float | None, float | None],
    base_rate: float | tuple[float, float] | None,
    random_state: int,
) -> tuple[np.ndarray, tuple[float, float]]:
    """Return pseudo-outcomes and flip rates by the selection likelihood."""
    from .. import SelectionModel

    model = SelectionModel(
        base_rate=base_rate,
        false_positive_rate=known_rates[0],
        false_negative_rate=known_rates[1],
        random_state=random_state,
    )
    columns = {name: log.columns.get(name) for name in ("asked", "verified")}
    model.fit(X, log.y, groups=log.groups, **columns)
    return model.oof_posterior_, (model.false_positive_rate_, model.false_negative_rate_)


def _doubly_robust(
    X: np.ndarray,
    log: FeedbackLog,
    known_rates: tuple[float | None, float | None],
    random_state: int,
) -> tuple[np.ndarray, tuple[float, float]]:
    """Return pseudo-outcomes and flip rates that assume selection on x alone."""
    from sklearn.frozen import FrozenEstimator

    from .. import DoublyRobust, NoiseTransitionEstimator
    from ..metrics import pseudo_outcomes

    noise = NoiseTransitionEstimator(
        false_positive_rate=known_rates[0],
        false_negative_rate=known_rates[1],
        random_state=random_state,
    ).fit(X, log.y, groups=log.groups)
    z = pseudo_outcomes(
        X,
        log.y,
        method=DoublyRobust(noise_estimator=FrozenEstimator(noise)),
        groups=log.groups,
        asked=log.columns.get("asked"),
        judge_score=log.columns.get("judge_score"),
        random_state=random_state,
    )
    return z, noise.rates_


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)


def _refuse_unusable(log: FeedbackLog, name: str) -> None:
    import numpy as np

    from ..exceptions import InvalidInputError

    rated = log.y[~np.isnan(log.y)]
    if len(rated) == len(log.y):
        raise InvalidInputError(
            f"All {len(rated)} rows of {name} are rated, so selection cannot be corrected: pass "
            "the answers without feedback too."
        )
    good = int(rated.sum())
    if min(good, len(rated) - good) < _MIN_RATED:
        raise InvalidInputError(
            f"{name} has {good} positive and {len(rated) - good} negative ratings, but scores need "
            f"at least {_MIN_RATED} of each: evaluate on a longer log."
        )


def _calendar(times: pd.Series, period: Period) -> pd.Series:
    """Return the first day of each row's period, or its month, as text."""
    periods = times.dt.tz_convert("UTC").dt.tz_localize(None).dt.to_period(period.value)
    if period == Period.month:
        return periods.astype(str).where(times.notna())
    return periods.dt.start_time.dt.strftime("%Y-%m-%d")


def _print_tables(result: dict[str, Any]) -> None:
    dropped = result["import"].get("n_duplicates", 0)
    print_table(
        f"{result['rows']:,} rows, {result['rated']:,} rated "
        f"({result['positive_share_of_rated']:.3f} positive)"
        + f", {dropped:,} duplicates dropped" * (dropped > 0)
        + "; scores ± standard error",
        score_columns("rows of"),
        score_rows(result["sets"].items()),
    )
    for key, title in (("periods", "By period (UTC)"), ("models", "By model of the log")):
        if key in result:
            sets = ((found["name"] or "unknown", found) for found in result[key])
            print_table(title, score_columns(""), score_rows(sets))
