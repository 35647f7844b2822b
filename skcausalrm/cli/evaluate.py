"""``skcausalrm evaluate``: debiased scores of a model on logs it was not trained on."""

from typing import Annotated, Any, Literal

import typer

from ..exceptions import InvalidInputError, UnusedParameterError
from . import _options as options
from ._console import print_json, print_table, progress

# Minimum ratings of each class that scores need.
_MIN_RATED = 20
# Chance of a false alarm where --alarm names none.
_FALSE_ALARMS = 0.05


@options.reads_logs()
def evaluate(
    ctx: typer.Context,
    model_dir: options.ModelDirectory,
    logs: options.Logs,
    false_positive_rate: options.FalsePositiveRate = None,
    false_negative_rate: options.FalseNegativeRate = None,
    base_rate: options.BaseRate = None,
    period: Annotated[
        Literal["D", "W", "M"] | None,
        typer.Option(
            help="Also score each day, week or month. Default: W, if the logs have times.",
            show_default=False,
        ),
    ] = None,
    alarm: Annotated[
        float | None,
        typer.Option(
            metavar="P",
            min=1e-6,
            max=0.5,
            help="Exit with 3 if reward, share rated or level have moved; P is the largest chance "
            "of a false alarm at any of all looks, such as .05.",
            show_default=False,
        ),
    ] = None,
    least_change: Annotated[
        float, typer.Option(min=0, max=1, help="With --alarm: smaller changes raise none.")
    ] = 0.0,
    fail_below: Annotated[
        float | None,
        typer.Option(
            metavar="LEVEL",
            min=0,
            max=1,
            help="Exit with 3 if the share of good answers is surely below it.",
            show_default=False,
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="DATE",
            help="Watch from this date on, after a change that you know of.",
            show_default=False,
        ),
    ] = None,
    cache_dir: options.CacheDirectory = None,
    random_state: options.RandomState = 0,
    as_json: options.AsJson = False,
) -> None:
    """Estimate a model's scores against clean labels on held-out logs, with standard errors.

    Labels are replaced by pseudo-outcomes, cross-fitted on these logs:
    by the selection likelihood if the model was fitted by it, else doubly robust.
    Flip rates are the given ones, else the ones given to `fit`, else estimated.
    What `fit` has learnt of flip rates and level is the prior of the estimates.
    Verified and asked rows of these logs replace that of the level.
    Users, instruments and signals are those of the fit, as far as these logs have them.
    """
    import numpy as np

    from .._utils._clusters import cluster_codes
    from ..export import load_model_directory
    from ..inspection._periods import calendar_names, merge_periods
    from ..inspection._watch import MIN_ROWS, Rows, watch_rows
    from ..text._saved import load_encoder
    from ._logs import encode, join_names, read_log
    from ._monitoring import ALARM_STATUS, is_alarm, print_watched, since_fit
    from ._prompts import count_shared
    from ._pseudo_outcomes import RATES, by_doubly_robust, by_selection, learnt_at_fit
    from ._scores import all_scores, scores_by
    from ._sources import Named
    from ._within import score_within_prompts

    model = load_model_directory(model_dir)
    report = model.report or {}
    method = "selection" if model.config["method"] == "selection" else "dr"
    if base_rate is not None and method == "dr":
        raise UnusedParameterError(
            f"--base-rate is for the selection likelihood, but {model_dir} was not fitted by it: "
            "leave it out."
        )
    name = join_names(logs)
    progress(f"reading {name}")
    named = Named(**options.of_sources(ctx))
    of_model = Named(**report.get("named", {}))
    log = read_log(logs, named=named, of_model=of_model, **options.of_logs(ctx))
    _refuse_unusable(log, name)
    times = log.frame.get("timestamp")
    for option, value in {"--period": period, "--alarm": alarm, "--since": since}.items():
        if value is not None and times is None:
            raise UnusedParameterError(
                f"{option} was given, but {name} has no column 'timestamp': leave it out."
            )
    start = None if since is None else _parse_date(since)
    shared = count_shared(log.text, report.get("training_prompts"))
    encoder = load_encoder(model.encoder_settings, model_dir, cache_dir)
    X = encode(encoder, log.text)
    prediction = model.scorer.predict(X)

    progress("fitting pseudo-outcomes")
    learnt = learnt_at_fit(report, log, prediction)
    given = (false_positive_rate, false_negative_rate)
    known_rates = {
        name: next((rate for rate in (now, then) if rate is not None), learnt.get(name))
        for name, now, then in zip(
            RATES, given, report.get("known_flip_rates", (None, None)), strict=True
        )
    }
    if base_rate is None:
        base_rate = learnt.get("base_rate")
    if method == "selection":
        z, rates, told_by = by_selection(X, log, known_rates, random_state, base_rate)
    else:
        z, rates, told_by = by_doubly_robust(X, log, known_rates, random_state)
    result = {
        **log.counts(),
        "model_directory": str(model_dir),
        "logs": [str(path) for path in logs],
        "shared_prompts": shared,
        "pseudo_outcomes": method,
        "learnt_at_fit": learnt,
        "level_source": told_by,
        **log.sources.facts(),
        "false_positive_rate": rates[0],
        "false_negative_rate": rates[1],
        "truncated_prompts": encoder.truncated_prompt_count_,
        "truncated_answers": encoder.truncated_answer_count_,
        "sets": all_scores(log, z, prediction, rates),
    }
    if (within := score_within_prompts(log, z, prediction)) is not None:
        result["within_prompts"] = within
    rows = Rows(
        prediction, ~np.isnan(log.y), log.y == 1, z, cluster_codes(**log.clusters(), n_rows=len(z))
    )
    every = np.ones(len(z), dtype=bool)
    if times is not None:
        calendar = calendar_names(times, period or "W")
        periods = merge_periods(calendar, every, MIN_ROWS)
        result["periods"] = scores_by(periods.labels(), log, z, prediction)
        if start is not None:
            calendar = calendar.where(times >= start)
            periods = merge_periods(calendar, every, MIN_ROWS)
    else:
        periods = merge_periods(["the first row"] * len(z), every, 1)
    result["since_fit"] = since_fit(report, prediction, rows.rated)
    result["monitoring"] = watch_rows(
        rows,
        periods,
        n_without_time=0 if times is None else int(times.isna().sum()),
        false_alarms=_FALSE_ALARMS if alarm is None else alarm,
        least_change=least_change,
        fail_below=fail_below,
    )
    if "model" in log.frame.columns:
        result["models"] = scores_by(log.frame["model"], log, z, prediction)
    if as_json:
        print_json({**result, "warnings": ctx.obj})
    else:
        _print_tables(result)
        if times is not None or fail_below is not None:
            print_watched(result["monitoring"])
    shortfall = result["monitoring"]["shortfall"]
    if (alarm is not None and is_alarm(result["monitoring"])) or (shortfall and shortfall["alarm"]):
        raise typer.Exit(ALARM_STATUS)


def _refuse_unusable(log, name: str) -> None:
    good, bad = ((log.y == value).sum() for value in (1, 0))
    if good + bad == len(log.y):
        raise InvalidInputError(
            f"All {len(log.y)} rows of {name} are rated, so selection cannot be corrected: pass "
            "the answers without feedback too."
        )
    if min(good, bad) < _MIN_RATED:
        raise InvalidInputError(
            f"{name} has {good} positive and {bad} negative ratings, but scores need at least "
            f"{_MIN_RATED} of each: evaluate on a longer log."
        )


def _parse_date(text: str):
    import pandas as pd

    try:
        date = pd.Timestamp(text)
    except ValueError as error:
        raise typer.BadParameter(f"--since {text!r} is no date: write it as 2026-05-01.") from error
    return date.tz_localize("UTC") if date.tzinfo is None else date.tz_convert("UTC")


def _print_tables(result: dict[str, Any]) -> None:
    from ._scores import ERRORS, score_columns, score_rows
    from ._within import describe_within_prompts

    dropped = result["import"].get("n_duplicates", 0)
    print_table(
        f"{result['rows']:,} rows, {result['rated']:,} rated "
        f"({result['positive_share_of_rated']:.3f} positive)"
        + f", {dropped:,} duplicates dropped" * (dropped > 0)
        + f"; scores {ERRORS}",
        score_columns("rows of"),
        score_rows(result["sets"].items()),
    )
    if "within_prompts" in result:
        typer.echo(describe_within_prompts(result["within_prompts"]))
    for key, title in (("periods", "By period (UTC)"), ("models", "By model of the log")):
        if key in result:
            sets = ((found["name"] or "unknown", found) for found in result[key])
            print_table(title, score_columns(""), score_rows(sets))
    given = "base rate of the fit" if "base_rate" in result["learnt_at_fit"] else "--base-rate"
    told_by = [
        given if name == "base_rate" else name
        for name, reason in result["level_source"].items()
        if reason == "used"
    ]
    if told_by:
        typer.echo(f"The level is told by {', '.join(told_by)}.")
