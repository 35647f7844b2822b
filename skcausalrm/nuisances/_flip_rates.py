"""Flip rates from s(x) = P(s=1 given x, rated): anchors, levels of the curve, confident counts.

Each estimator returns (rates, standard errors), both of the false positive and the false negative
rate, shape (2,). Anchors also return for which of them there are none.
"""

import numpy as np
from numpy.typing import NDArray

from .._utils._warnings import warn
from ..exceptions import AssumptionWarning
from ..model_selection._cross_fitting import Folds
from ._probability import NoisySigmoid

_BOOTSTRAP_DRAWS = 200
# Width of a rate's 90% interval above which anchors count as absent.
_WIDE_INTERVAL = 0.1
# Distance between a rate and the level of the fitted curve above which anchors count as absent.
_LEVEL_GAP = 0.05
# Minimum distance of the extreme quantiles: a smaller one magnifies labels more than fivefold.
_LEAST_CONTRAST = 0.2


def anchor_rates(curve: NoisySigmoid, scores, folds: Folds, weight, rng, quantile: float, known):
    """Return the median over folds of the extreme quantiles of s(x), with a bootstrap.

    The bootstrap redraws folds, groups and calibration curve. The q-quantile of a bootstrap
    sample of n points is the sorted original at a Beta(qn, (1-q)n) fraction, so no row is
    resampled; the curve is redrawn from its clustered covariance.
    """
    weight = np.ones(len(scores)) if weight is None else weight
    K, B = folds.n_splits, _BOOTSTRAP_DRAWS
    thetas = rng.multivariate_normal(curve.theta, curve.covariance, size=B)
    found, draws = np.empty((2, K)), np.empty((2, K, B))
    for k in range(K):
        rows = (folds.of_row == k) & (weight > 0)
        n_units = max(len(np.unique(folds.groups[rows])), 2)
        fractions = rng.beta(quantile * n_units + 0.5, (1 - quantile) * n_units + 0.5, size=B)
        for end in (0, 1):
            at = np.append(quantile, fractions)
            cuts = _quantile(scores[rows], 1 - at if end else at, weight[rows])
            p = np.append(curve(cuts[:1]), curve(cuts[1:], thetas))
            p = 1 - p if end else p
            found[end, k], draws[end, k] = p[0], p[1:]
    chosen = rng.randint(K, size=(B, K))
    resampled = np.median(draws[:, chosen, np.arange(B)[:, None]], axis=2)
    stds = resampled.std(axis=1)
    rates = np.median(found, axis=1)
    if rates.sum() > 1 - _LEAST_CONTRAST and None in known:
        levels, level_stds = sigmoid_rates(curve)
        warn(
            f"The extreme quantiles of s(x), {rates[0]:.2f} and {1 - rates[1]:.2f}, hardly "
            f"differ, so x predicts feedback too poorly for anchors. The levels of the fitted "
            f"curve, {levels[0]:.2f} and {levels[1]:.2f}, are used as flip rates; they are "
            f"little more than a prior: pass known rates.",
            AssumptionWarning,
            "absent-anchors",
        )
        return levels, level_stds, tuple(rate is None for rate in known)
    absent = [False, False]
    for end, name in enumerate(("false_positive_rate", "false_negative_rate")):
        bottom, top = np.quantile(resampled[end], (0.05, 0.95))
        rising = rates[end] - (curve.low, 1 - curve.high)[end] > _LEVEL_GAP
        if (top - bottom > _WIDE_INTERVAL or rising) and known[end] is None:
            absent[end] = True
            warn(
                f"The {name} from the {'lowest' if end == 0 else 'highest'} "
                f"{100 * quantile:.3g}% of s(x) is {rates[end]:.2f} (90% interval "
                f"{bottom:.2f} to {top:.2f}), where s(x) has "
                f"{'not levelled off' if rising else 'few rows'}. There may be no surely "
                f"{'bad' if end == 0 else 'good'} rows: pass {name}= if you know it.",
                AssumptionWarning,
                "absent-anchors",
            )
    return rates, stds, tuple(absent)


def sigmoid_rates(curve: NoisySigmoid):
    """Return the levels of the calibration curve and their delta-method standard errors."""
    rates = np.array([curve.low, 1 - curve.high])
    slopes = rates * (1 - 2 * rates)
    return rates, slopes * np.sqrt(np.maximum(np.diag(curve.covariance)[2:], 0))


def confident_rates(curve: NoisySigmoid, scores, s, folds: Folds, weight, rng):
    """Return rates from the confident joint counts of both classes; bootstrap over groups."""
    rated = ~np.isnan(s)
    p, s = curve(scores[rated]), s[rated]
    w = np.ones(len(s)) if weight is None else weight[rated]
    bar_1 = np.average(p[s == 1], weights=w[s == 1])
    bar_0 = np.average(1 - p[s == 0], weights=w[s == 0])
    sure_1, sure_0 = p >= bar_1, 1 - p >= bar_0
    both = sure_1 & sure_0
    sure_1, sure_0 = sure_1 & (~both | (p >= 0.5)), sure_0 & (~both | (p < 0.5))
    _, unit = np.unique(folds.groups[rated], return_inverse=True)
    n_units = int(unit.max()) + 1
    # Weighted counts by group of: logged class x confident class.
    logged = np.array([s == 0, s == 1])[:, None]
    sure = np.array([sure_0, sure_1])[None, :]
    cells = np.apply_along_axis(
        lambda row: np.bincount(unit, row, minlength=n_units), 2, w * (logged & sure)
    )
    logged_totals = np.array([w[s == 0].sum(), w[s == 1].sum()])

    def rates_of(counts):
        counts = np.maximum(counts, 1e-12)
        joint = counts * (logged_totals / counts.sum(axis=1))[:, None]
        return joint[1, 0] / joint[:, 0].sum(), joint[0, 1] / joint[:, 1].sum()

    draws = [
        rates_of(cells @ rng.multinomial(n_units, np.full(n_units, 1 / n_units)))
        for _ in range(_BOOTSTRAP_DRAWS)
    ]
    return np.array(rates_of(cells.sum(axis=2))), np.std(draws, axis=0)


def _quantile(values, fractions, weight) -> NDArray[np.float64]:
    """Return quantiles of `values`: `np.quantile` of as many copies of each as its weight.

    Weights under 1 are counted in units of the smallest.
    """
    order = np.argsort(values)
    copies = weight[order] / min(1.0, weight.min())
    last = np.cumsum(copies) - 1
    places = np.column_stack([last - copies + 1, last]).ravel()
    return np.interp(fractions * last[-1], places, np.repeat(values[order], 2))
