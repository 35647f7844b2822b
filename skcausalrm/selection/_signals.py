"""Further signals as the likelihood takes them, and what it found about them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._utils._columns import RowColumns
from .._utils._warnings import warn
from ..exceptions import AssumptionWarning
from ._mixture import Mixture
from ._parameters import SELECTION_SHARE, SignalFacts, signal_parameter

# Fewest rows in which a signal happened, and in which it did not.
_LEAST_ROWS = 10


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
    """Return the signals that vary, or None, and for "signals", where given: "used", or why not.

    Parameters
    ----------
    y : ndarray of shape (n,)
        0, 1, NaN where unrated.
    columns : RowColumns

    Warns
    -----
    AssumptionWarning
        If a signal happens in nearly no row, or in nearly all (code "constant-signal").
    """
    if columns.signals is None:
        return None, {}
    names, values, directions = columns.signals
    weight = columns.weighted(np.ones(len(y)))
    happened = np.nansum(values * weight[:, None], axis=0)
    seen = weight @ ~np.isnan(values)
    kept = np.minimum(happened, seen - happened) >= _LEAST_ROWS
    for name, count, of in zip(names, happened, seen, strict=True):
        if min(count, of - count) < _LEAST_ROWS:
            warn(
                f"Signal {name!r} happens in {count:.0f} of {of:.0f} rows, so it tells answers "
                f"apart too rarely and is left out.",
                AssumptionWarning,
                "constant-signal",
            )
    if not kept.any():
        return None, {"signals": "not used: they happen in nearly no row, or in nearly all"}
    volunteers = weight * columns.unasked(len(y))
    rated_share = float(volunteers @ ~np.isnan(y) / max(volunteers.sum(), 1e-300))
    facts = SignalFacts(directions[kept], (happened / np.maximum(seen, 1e-300))[kept], rated_share)
    kept_names = tuple(np.array(names, dtype=object)[kept])
    return RowSignals(kept_names, values[:, kept], facts), {"signals": "used"}


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
