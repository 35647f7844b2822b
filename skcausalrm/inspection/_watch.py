"""Reward, share rated and level by period: intervals, and alarms that weekly looks cannot wear out.

The reward is the model's mean prediction of all rows, the level the share of good answers by the
pseudo-outcomes of the log. An error of `false_alarms` is shared by the three.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.utils import check_consistent_length

from .._utils._clusters import cluster_codes, clustered_covariance, clusters_at
from .._utils._validation import check_column
from ..exceptions import InvalidInputError
from ..inference._changes import (
    N_REFERENCE,
    Change,
    find_change,
    find_shortfall,
    stable_variances,
)
from ..metrics._estimate import NORMAL_95, with_open_error
from ..metrics._sample import check_outcomes, finite_column
from ._periods import Periods, calendar_names, merge_periods, read_times
from ._rate import rate_of

# Rows of a period, and ratings for its level; smaller periods are merged with the next.
MIN_ROWS, MIN_RATED = 30, 20
Series = tuple[np.ndarray, np.ndarray]
_TITLES = {"reward": "reward", "share_rated": "share rated", "level": "level"}


class Rows(NamedTuple):
    """Rows to watch: prediction, rated, liked (n,), draws of the label (n, m), and clusters."""

    prediction: np.ndarray
    rated: np.ndarray
    liked: np.ndarray
    z: np.ndarray
    clusters: tuple[np.ndarray | None, np.ndarray | None]


def watch(
    z,
    prediction,
    y,
    times,
    *,
    period="W",
    groups=None,
    users=None,
    false_alarms=0.05,
    least_change=0.0,
    fail_below=None,
) -> dict[str, Any]:
    """Follow mean reward, share rated and level over time, and tell which of them has moved.

    Look as often as you like: an alarm is false in at most `false_alarms` of the logs without a
    change, however many periods come.

    Parameters
    ----------
    z : array-like of shape (n,) or (n, m)
        Pseudo-outcomes, or m equally likely draws of them, as `pseudo_outcomes` makes.
    prediction : array-like of shape (n,)
        Rewards by a model that was fitted on other rows.
    y : array-like of shape (n,)
        Feedback, 0 or 1, NaN where there is none.
    times : array-like of shape (n,)
        Dates, missing where unknown: such rows are left out.
    period : str, default="W"
        Calendar period in UTC: "D", "W", "M" or another of pandas. One with under 30 rows is merged
        with the next, and for the level one with under 20 ratings.
    groups, users : array-like of shape (n,), default=None
        Conversations and users, whose rows are not independent.
    false_alarms : float, default=0.05
        Largest chance of an alarm without a change.
    least_change : float, default=0
        Changes that are surely no larger raise no alarm.
    fail_below : float or None, default=None
        Threshold for the level: whether the latest periods are surely below it.

    Returns
    -------
    dict
        As JSON can hold it. "periods": names, counts, and reward, share rated, share liked and
        level with 90% intervals; "changes": of each quantity the clearest change, its interval,
        since when, and whether it is an alarm; "shortfall"; "verdict", in sentences;
        "rows_left_out", which wait at the end for a period with enough, and "rows_without_time".

    Raises
    ------
    InvalidInputError
        If a column is of another length or kind, or a time is no date.
    FeedbackError
        If y has another length, or holds what is no number.
    GroupsError
        If groups or users are not one id per row.

    See Also
    --------
    DriftDisplay : The same as a picture.

    Notes
    -----
    A change is that of the periods since some week from all before, seven or more in all. Its
    intervals are a confidence sequence (Robbins, 1970; Waudby-Smith et al., arXiv 2103.06476).

    Examples
    --------
    >>> import numpy as np
    >>> from skcausalrm.inspection import watch
    >>> rng = np.random.default_rng(0)
    >>> week = np.repeat(np.arange(20), 100)
    >>> times = np.datetime64("2026-01-05") + 7 * week
    >>> y = np.where(rng.random(2000) < np.where(week < 12, 0.4, 0.1), 1.0, np.nan)
    >>> found = watch(np.full(2000, 0.5), np.full(2000, 0.5), y, times)
    >>> [name for name, change in found["changes"].items() if change["alarm"]]
    ['share_rated']
    """
    z = check_outcomes(z)
    prediction = finite_column(prediction, "prediction", "every row needs one")
    check_consistent_length(z, prediction)
    n = len(z)
    feedback = check_column(y, "y", n, allow_nan=True)
    for name, value in (("false_alarms", false_alarms), ("fail_below", fail_below)):
        if value is not None and not 0 < value < 1:
            raise InvalidInputError(f"{name} is {value!r}, but must lie between 0 and 1.")
    rows = Rows(
        prediction,
        ~np.isnan(feedback),
        feedback == 1,
        z.reshape(n, -1),
        cluster_codes(groups, users, n),
    )
    names = _names(times, n, period)
    return watch_rows(
        rows,
        merge_periods(names, np.ones(n, dtype=bool), MIN_ROWS),
        n_without_time=int(names.isna().sum()),
        false_alarms=false_alarms,
        least_change=least_change,
        fail_below=fail_below,
    )


def _names(times, n: int, period: str) -> pd.Series:
    column = read_times(times, n)
    if pd.api.types.is_float_dtype(column) and column.notna().any():
        raise InvalidInputError(
            "times holds numbers, which have no calendar: pass dates, such as "
            "pandas.to_datetime(times, unit='s') of seconds since 1970."
        )
    try:
        return calendar_names(pd.to_datetime(column, utc=True), period)
    except (ValueError, TypeError) as error:
        raise InvalidInputError(
            f"period is {period!r}, which is no calendar period: {error}."
        ) from error


def watch_rows(
    rows: Rows,
    periods: Periods,
    *,
    n_without_time: int = 0,
    false_alarms: float = 0.05,
    least_change: float = 0.0,
    fail_below: float | None = None,
) -> dict[str, Any]:
    """Return the figures of each period, changes, the shortfall below a threshold, and a verdict.

    Parameters
    ----------
    rows : Rows
    periods : Periods
    n_without_time : int, default=0
        Rows that are in no period because their time is unknown.
    false_alarms : float, default=0.05
        Largest chance of an alarm at any look at a log without a change.
    least_change : float, default=0
        Changes that are surely no larger raise no alarm.
    fail_below : float or None, default=None
        Threshold for the level.
    """
    at_level = merge_periods(
        np.where(periods.codes < 0, np.nan, periods.codes), rows.rated, MIN_RATED
    )
    series = _series(rows, periods.codes, len(periods.names))
    level = _series(rows, at_level.codes, len(at_level.names))["level"]
    level_names = [periods.names[int(float(name))] for name in at_level.names]
    each = false_alarms / len(_TITLES)
    given = {
        "reward": (*series["reward"], periods.names),
        "share_rated": (*series["share_rated"], periods.names),
        "level": (*level, level_names),
    }
    changes = {
        name: _facts(find_change(means, variances, false_alarms=each), names, least_change)
        for name, (means, variances, names) in given.items()
    }
    shortfall = None
    if fail_below is not None and level_names:
        found = find_shortfall(*level, fail_below, false_alarms=false_alarms)
        shortfall = {
            "threshold": fail_below,
            "since": level_names[found.since],
            "level": found.change + fail_below,
            "low": found.low + fail_below,
            "high": found.high + fail_below,
            "alarm": found.high < 0,
        }
    return {
        "false_alarms": false_alarms,
        "least_change": least_change,
        "periods": list(_figures(rows, periods, series)),
        "rows_left_out": periods.n_left_out,
        "rows_without_time": n_without_time,
        "changes": changes,
        "shortfall": shortfall,
        "verdict": _verdict(changes, shortfall, false_alarms, len(periods.names)),
    }


def _series(rows: Rows, codes: np.ndarray, n_periods: int) -> dict[str, Series]:
    """Return means and their variances of all three by period, (T,), of the level (T, m)."""
    means, variances = np.empty((2, n_periods, 2 + rows.z.shape[1]))
    n_rows, n_rated = np.ones((2, n_periods))
    ends = np.searchsorted(np.sort(codes), range(n_periods))
    for period, own in enumerate(np.split(np.argsort(codes, kind="stable"), ends)[1:]):
        part = np.column_stack([rows.prediction[own], rows.rated[own], rows.z[own]])
        means[period] = part.mean(axis=0)
        influence = (part - means[period]) / len(own)
        covariance = clustered_covariance(influence, *clusters_at(rows.clusters, own))
        variances[period] = np.diag(covariance)
        n_rows[period] = len(own)
        n_rated[period] = max(1, int(np.count_nonzero(rows.rated[own])))
    # the error of a level is that of the ratings
    parts: dict[str, tuple[Any, np.ndarray]] = {
        "reward": (0, n_rows),
        "share_rated": (1, n_rows),
        "level": (slice(2, None), n_rated),
    }
    return {
        name: (means[:, at], stable_variances(variances[:, at], counts))
        for name, (at, counts) in parts.items()
    }


def _facts(change: Change | None, names: list[str], least: float) -> dict[str, Any] | None:
    if change is None:
        return None
    return {
        "alarm": change.is_alarm(least),
        "change": change.change,
        "low": change.low,
        "high": change.high,
        "since": names[change.since],
        "first_raised": None if change.raised is None else names[change.raised],
    }


def _figures(rows: Rows, periods: Periods, series: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the figures of each period with 90% intervals."""
    for period, name in enumerate(periods.names):
        own = periods.codes == period
        rated = own & rows.rated
        n_rated = int(np.count_nonzero(rated))
        reward, variance = (values[period] for values in series["reward"])
        level = with_open_error(
            series["level"][0][period], series["level"][1][period].mean() ** 0.5, (0.0, 1.0)
        )
        shares = (
            rate_of(rows.rated, own, rows.clusters),
            rate_of(rows.liked, rated, rows.clusters),
        )
        yield {
            "name": name,
            "calendar_periods": periods.sizes[period],
            "rows": int(np.count_nonzero(own)),
            "rated": n_rated,
            "reward": _ends(reward, *(reward + s * NORMAL_95 * variance**0.5 for s in (-1, 1))),
            "share_rated": _ends(*shares[0][:3]),
            "share_liked": _ends(*shares[1][:3]) if n_rated else None,
            "level": _ends(np.clip(level.score, 0, 1), level.low, level.high)
            if n_rated >= MIN_RATED
            else None,
        }


def _ends(value: float, low: float, high: float) -> dict[str, float]:
    return {"value": float(value), "low": float(low), "high": float(high)}


def _verdict(
    changes: Mapping[str, Any], shortfall: Mapping[str, Any] | None, false_alarms: float, n: int
) -> str:
    sentences = []
    if 1 < n <= N_REFERENCE:
        sentences.append(
            f"No alarm is possible yet: {n} periods have enough rows, and it takes "
            f"{N_REFERENCE + 1}."
        )
    elif n > 1:
        sentences += _moved(changes, false_alarms)
    if shortfall is not None:
        sure = "is surely" if shortfall["alarm"] else "is not surely"
        sentences.append(
            f"The level since {shortfall['since']} {sure} below {shortfall['threshold']:g}: "
            f"{shortfall['level']:.2f} ({shortfall['low']:.2f} to {shortfall['high']:.2f})."
        )
    return " ".join(sentences)


def _moved(changes: Mapping[str, Any], false_alarms: float) -> Iterator[str]:
    moved = [name for name, change in changes.items() if change is not None and change["alarm"]]
    still = [_TITLES[name] for name in changes if name not in moved]
    for name in moved:
        change = changes[name]
        yield (
            f"ALARM: {_TITLES[name]} moved by {change['change']:+.3f} ({change['low']:+.3f} to "
            f"{change['high']:+.3f}) since {change['since']}."
        )
    if still:
        yield f"No sure change of {' and of '.join(still)}."
    if moved == ["share_rated"]:
        yield "Who rates has changed, not how good the answers are, as far as this log tells."
    elif {"share_rated", "level"} <= set(moved):
        yield (
            "As who rates has changed too, thumbs may mean something else now: verify answers from "
            "before and after."
        )
    elif "level" in moved and "reward" in still:
        yield "The model does not see what has changed: verify answers, and refit."
    elif moved == ["reward"]:
        yield "The answers look different to the model; the ratings do not show it yet."
    yield f"(False alarms: at most {false_alarms:.0%} of logs, however often one looks.)"
