"""Further signals as the likelihood takes them, and what it found about them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._utils._columns import RowColumns
from .._utils._signal_names import LEAST_ROWS
from .._utils._signals import Signals
from .._utils._warnings import warn
from ..exceptions import AssumptionWarning
from ._mixture import Mixture
from ._parameters import SELECTION_SHARE, SignalFacts, signal_parameter

_CONSTANT = "not used: they happen in nearly no row, or in nearly all"
# Name of a judge's score among signals and sources.
JUDGE = "judge_score"


class RowSignals(NamedTuple):
    """Signals that vary, with what all rows have in common about them.

    Attributes
    ----------
    names : tuple of str
    values : ndarray of shape (n, n_signals)
        1, 0, NaN where a signal could not be seen.
    facts : SignalFacts
    """

    names: tuple[str, ...]
    values: NDArray[np.float64]
    facts: SignalFacts


def take_signals(y: NDArray, columns: RowColumns) -> tuple[RowSignals | None, dict[str, str]]:
    """Return the signals that vary, a judge's score among them, and what became of each source.

    Parameters
    ----------
    y : ndarray of shape (n,)
        0, 1, NaN where unrated.
    columns : RowColumns

    Returns
    -------
    signals : RowSignals or None
    sources : dict of str to str
        For "signals" and "judge_score", where given: "used", or why not.

    Warns
    -----
    AssumptionWarning
        If a signal happens in nearly no row, or in nearly all (code "constant-signal").
    """
    weight = columns.weighted(np.ones(len(y)))
    parts = {"signals": columns.signals, JUDGE: _read_judge(columns.judge_score, weight)}
    given = {source: signals for source, signals in parts.items() if signals is not None}
    if not given:
        return None, {}
    names = tuple(name for signals in given.values() for name in signals.names)
    values = np.column_stack([signals.values for signals in given.values()])
    directions = np.concatenate([signals.directions for signals in given.values()])
    outside = np.repeat(
        [source == JUDGE for source in given], [len(signals.names) for signals in given.values()]
    )
    happened = np.nansum(values * weight[:, None], axis=0)
    seen = weight @ ~np.isnan(values)
    kept = np.minimum(happened, seen - happened) >= LEAST_ROWS
    for name, count, of in zip(names, happened, seen, strict=True):
        if min(count, of - count) < LEAST_ROWS:
            warn(
                f"Signal {name!r} happens in {count:.0f} of {of:.0f} rows, so it tells answers "
                f"apart too rarely and is left out.",
                AssumptionWarning,
                "constant-signal",
            )
    sources = {
        source: "used" if kept[outside == (source == JUDGE)].any() else _CONSTANT
        for source in given
    }
    if not kept.any():
        return None, sources
    volunteers = weight * columns.unasked(len(y))
    rated_share = float(volunteers @ ~np.isnan(y) / max(volunteers.sum(), 1e-300))
    shares = happened / np.maximum(seen, 1e-300)
    facts = SignalFacts(directions[kept], shares[kept], rated_share, outside[kept])
    kept_names = tuple(np.array(names, dtype=object)[kept])
    return RowSignals(kept_names, values[:, kept], facts), sources


def _read_judge(score: NDArray | None, weight: NDArray) -> Signals | None:
    """Return whether a judge's score is among the upper half, as a signal.

    What a judge's points are worth is unknown, so the likelihood takes no more from them.
    """
    if score is None:
        return None
    order = np.argsort(score, kind="stable")
    up_to = np.cumsum(weight[order])
    middle = score[order][np.searchsorted(up_to, up_to[-1] / 2)]
    # A coarse scale has ties at the median: they go where the halves are less unequal.
    halves = score > middle, score >= middle
    upper = min(halves, key=lambda high: abs(weight @ high / up_to[-1] - 0.5))
    return Signals((JUDGE,), upper[:, None].astype(np.float64), np.ones(1))


def signal_log_odds(
    mixture: Mixture, signals: RowSignals | None
) -> dict[str, tuple[float, float]] | None:
    """Return by how much likelier each signal is on a good answer: log odds and their sd."""
    if signals is None:
        return None
    n = len(signals.names)
    found = {}
    for j, name in enumerate(signals.names):
        step, slope = (signal_parameter(j, part, n_signals=n) for part in ("gamma", "delta"))
        found[name] = mixture.moments({step: 1, slope: SELECTION_SHARE})
    return found


def signal_dependence(
    mixture: Mixture, signals: RowSignals | None
) -> dict[str, dict[str, tuple[float, float]]] | None:
    """Return log odds, with their sd, that being rated and earlier signals add to each signal."""
    if signals is None:
        return None
    n, names = len(signals.names), signals.names
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for j, name in enumerate(names):
        found[name] = {"rating": mixture.moments({signal_parameter(j, "psi", n_signals=n): 1})}
        for i in range(j):
            chi = signal_parameter(j, "chi", of=i, n_signals=n)
            found[name][names[i]] = mixture.moments({chi: 1})
    return found
