"""``skcausalrm evaluate``: debiased scores of a model on a log it was not trained on."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import _options as options
from ._console import print_json, print_table, progress
from ._known import Known, parse_base_rate
from ._logs import FeedbackLog, read_log
from ._models import encode
from ._prompts import count_shared
from ._scores import all_scores, score_columns, score_rows, scores_by

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = ["evaluate"]

_FEWEST_RATED = 20


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
        typer.Option(help="Score per day, week or month too; default: W, if LOGS has times."),
    ] = None,
    cache_dir: options.CacheDirectory = None,
    random_state: options.RandomState = 0,
    as_json: options.AsJson = False,
) -> None:
    """Score a model on held-out logs as clean labels would, with standard errors.

    The pseudo-outcomes that stand in for labels are cross-fitted on LOGS alone,
    by the selection likelihood if the model was fitted by it, else doubly robust.
    Flip rates are those given here, else those given to `fit`, else estimated.
    """
    from ..exceptions import UnusedParameterError
    from ..export import load_model_directory
    from ..text._saved import load_encoder

    known_base_rate = parse_base_rate(base_rate)
    model = load_model_directory(model_dir)
    report = model.report or {}
    joint = model.config["method"] == "selection"
    if known_base_rate is not None and not joint:
        raise UnusedParameterError(
            f"--base-rate serves the selection likelihood, which {model_dir} was not fitted by: "
            "leave it out."
        )
    progress(f"reading {logs}")
    log = read_log(
        logs,
        scores=scores,
        format=format,
        feedback_name=feedback_name,
        verified=verified or (),
        asked_name=asked,
        judge_score_name=judge_score_name,
    )
    _refuse_unusable(log, logs)
    times = log.frame.get("timestamp")
    if period is not None and times is None:
        raise UnusedParameterError(
            f"--period was given, but {logs} has no column 'timestamp': leave it out."
        )
    shared = count_shared(log.text, report.get("training_prompts"))
    encoder = load_encoder(model.encoder_settings, model_dir, cache_dir)
    X = encode(encoder, log.text)
    prediction = model.scorer.predict(X)

    progress("fitting pseudo-outcomes")
    fitted_with = report.get("known_flip_rates", (None, None))
    known = Known(
        _first(false_positive_rate, fitted_with[0]),
        _first(false_negative_rate, fitted_with[1]),
        known_base_rate,
    )
    z, rates = (_joint if joint else _doubly_robust)(X, log, known, random_state)
    result = {
        **log.counts(),
        "model_directory": str(model_dir),
        "log": str(logs),
        "shared_prompts": shared,
        "pseudo_outcomes": "selection" if joint else "dr",
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


def _joint(
    X: np.ndarray, log: FeedbackLog, known: Known, random_state: int
) -> tuple[np.ndarray, tuple[float, float]]:
    """Pseudo-outcomes and flip rates by the selection likelihood."""
    from .. import SelectionModel

    model = known.selection_model(random_state) or SelectionModel(random_state=random_state)
    columns = {name: log.columns.get(name) for name in ("asked", "verified")}
    model.fit(X, log.y, groups=log.groups, **columns)
    return model.oof_posterior_, (model.false_positive_rate_, model.false_negative_rate_)


def _doubly_robust(
    X: np.ndarray, log: FeedbackLog, known: Known, random_state: int
) -> tuple[np.ndarray, tuple[float, float]]:
    """Pseudo-outcomes and flip rates that assume selection on x alone."""
    from sklearn.frozen import FrozenEstimator

    from .. import NoiseTransitionEstimator
    from ..metrics import pseudo_outcomes

    noise = known.noise_estimator(random_state) or NoiseTransitionEstimator(
        random_state=random_state
    )
    noise.fit(X, log.y, groups=log.groups)
    z = pseudo_outcomes(
        X,
        log.y,
        groups=log.groups,
        asked=log.columns.get("asked"),
        judge_score=log.columns.get("judge_score"),
        noise_estimator=FrozenEstimator(noise),
        random_state=random_state,
    )
    return z, noise.rates_


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)


def _refuse_unusable(log: FeedbackLog, source: Path) -> None:
    import numpy as np

    from ..exceptions import InvalidInputError

    rated = log.y[~np.isnan(log.y)]
    if len(rated) == len(log.y):
        raise InvalidInputError(
            f"All {len(rated)} rows of {source} are rated, so its selection cannot be corrected: "
            "pass the answers without feedback too."
        )
    good = int(rated.sum())
    if min(good, len(rated) - good) < _FEWEST_RATED:
        raise InvalidInputError(
            f"{source} has {good} positive and {len(rated) - good} negative ratings, and scores "
            f"need at least {_FEWEST_RATED} of each: evaluate on a longer log."
        )


def _calendar(times: pd.Series, period: Period) -> pd.Series:
    """The first day of each row's period, or its month, as text."""
    periods = times.dt.tz_convert("UTC").dt.tz_localize(None).dt.to_period(period.value)
    if period == Period.month:
        return periods.astype(str).where(times.notna())
    return periods.dt.start_time.dt.strftime("%Y-%m-%d")


def _print_tables(result: dict[str, Any]) -> None:
    print_table(
        f"{result['rows']:,} rows, {result['rated']:,} rated "
        f"({result['positive_share_of_rated']:.3f} positive); scores ± standard error",
        score_columns("rows of"),
        score_rows(result["sets"].items()),
    )
    for key, title in (("periods", "By period (UTC)"), ("models", "By model of the log")):
        if key in result:
            sets = ((found["name"] or "unknown", found) for found in result[key])
            print_table(title, score_columns(""), score_rows(sets))
