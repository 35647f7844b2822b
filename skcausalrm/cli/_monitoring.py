"""Reward, share rated and level by period: intervals, and alarms that weekly looks cannot wear out.

The reward is the model's mean prediction of all rows, the level the share of good answers by the
pseudo-outcomes of the log. An error of `false_alarms` is shared by the three.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import typer

from .._utils._clusters import clustered_covariance, clusters_at
from ..inference._changes import (
    N_REFERENCE,
    Change,
    find_change,
    find_shortfall,
    stable_variances,
)
from ..inspection._rate import rate_of
from ..metrics._estimate import NORMAL_95, with_open_error
from ._console import print_table

# Rows of a period, and ratings for its level; smaller periods are merged with the next.
MIN_ROWS, MIN_RATED = 30, 20
# Exit status of an alarm, unlike those of a failure and of bad usage.
ALARM_STATUS = 3
Series = tuple[np.ndarray, np.ndarray]
_TITLES = {"reward": "reward", "share_rated": "share rated", "level": "level"}


class Rows(NamedTuple):
    """Rows to watch: prediction, rated, liked (n,), draws of the label (n, m), and clusters."""

    prediction: np.ndarray
    rated: np.ndarray
    liked: np.ndarray
    z: np.ndarray
    clusters: tuple[np.ndarray | None, np.ndarray | None]


class Periods(NamedTuple):
    """Periods with enough rows.

    Attributes
    ----------
    names : list of str
        First period of each.
    codes : ndarray of int, shape (n,)
        Period of each row; -1: left out.
    sizes : list of int
        Number of calendar periods in each.
    n_left_out : int
        Rows after the last full period, which wait for more.
    """

    names: list[str]
    codes: np.ndarray
    sizes: list[int]
    n_left_out: int

    def labels(self) -> pd.Series:
        """Return the name of each row's period, missing where it is left out."""
        names = np.array([*self.names, None], dtype=object)
        return pd.Series(names[self.codes])


def merge_periods(names: Any, counted: np.ndarray, least: int) -> Periods:
    """Merge each period with fewer than `least` counted rows with the next.

    Parameters
    ----------
    names : array-like of shape (n,)
        Name of each row's period, in an order that sorts; missing where it is unknown.
    counted : ndarray of bool, shape (n,)
    least : int
    """
    codes, found = pd.factorize(pd.Series(names), sort=True)
    counts = np.bincount(codes[counted & (codes >= 0)], minlength=len(found))
    merged: list[list[int]] = [[]]
    for period, full in enumerate(_fill(counts, least)):
        merged[-1].append(period)
        if full:
            merged.append([])
    place = np.full(len(found) + 1, -1)  # the last is that of rows without a period
    for number, parts in enumerate(merged[:-1]):
        place[parts] = number
    into = place[codes]
    n_left_out = int(np.count_nonzero((into < 0) & (codes >= 0)))
    firsts = [str(found[parts[0]]) for parts in merged[:-1]]
    return Periods(firsts, into, [len(parts) for parts in merged[:-1]], n_left_out)


def _fill(counts: np.ndarray, least: int) -> Iterator[bool]:
    """Yield for each period whether it, with those before that are not full, is."""
    total = 0
    for count in counts:
        total += int(count)
        yield total >= least
        total = total if total < least else 0


def watch(
    rows: Rows,
    periods: Periods,
    *,
    false_alarms: float = 0.05,
    least_change: float = 0.0,
    fail_below: float | None = None,
) -> dict[str, Any]:
    """Return the figures of each period, changes, the shortfall below a threshold, and a verdict.

    Parameters
    ----------
    rows : Rows
    periods : Periods
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
        "changes": changes,
        "shortfall": shortfall,
        "verdict": _verdict(changes, shortfall, false_alarms, len(periods.names)),
    }


def _series(rows: Rows, codes: np.ndarray, n_periods: int) -> dict[str, Series]:
    """Return means and their variances of all three by period, (T,), of the level (T, m)."""
    values = np.column_stack([rows.prediction, rows.rated, rows.z])
    means, variances = np.empty((2, n_periods, values.shape[1]))
    n_rows, n_rated = np.ones((2, n_periods))
    ends = np.searchsorted(np.sort(codes), range(n_periods))
    for period, own in enumerate(np.split(np.argsort(codes, kind="stable"), ends)[1:]):
        part = values[own]
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


def is_alarm(found: Mapping[str, Any]) -> bool:
    """Return True if reward, share rated or level have moved."""
    return any(change is not None and change["alarm"] for change in found["changes"].values())


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


def print_watched(found: Mapping[str, Any]) -> None:
    """Print the figures of each period as a table, and the verdict."""
    columns = ["", "rows", "rated", "liked", "reward", "level"]
    print_table("Over time (UTC), 90% intervals", columns, map(_line, found["periods"]))
    if found["rows_left_out"]:
        typer.echo(
            f"{found['rows_left_out']} rows wait for their period to have {MIN_ROWS} rows, or have "
            f"no time, and are left out."
        )
    typer.echo(found["verdict"])


def _line(period: Mapping[str, Any]) -> list[str]:
    n = period["calendar_periods"]
    share, liked = period["share_rated"], period["share_liked"]
    return [
        period["name"] + (f" (+{n - 1})" if n > 1 else ""),
        f"{period['rows']:,}",
        _interval(share, ".3f"),
        "-" if liked is None else _interval(liked, ".2f"),
        _interval(period["reward"], ".3f"),
        "-" if period["level"] is None else _interval(period["level"], ".2f"),
    ]


def _interval(found: Mapping[str, float], form: str) -> str:
    return f"{found['value']:{form}} ({found['low']:{form}} to {found['high']:{form}})"


def since_fit(
    report: Mapping[str, Any], prediction: np.ndarray, rated: np.ndarray
) -> dict[str, dict[str, float]]:
    """Return mean reward and share rated at the fit, as far as it kept them, and in this log."""
    then = {
        "reward": report.get("sets", {}).get("log", {}).get("mean_prediction"),
        "share_rated": report.get("rated_share"),
    }
    now = {"reward": float(prediction.mean()), "share_rated": float(rated.mean())}
    return {
        name: {"fit": then[name], "now": value, "change": value - then[name]}
        for name, value in now.items()
        if then[name] is not None
    }
