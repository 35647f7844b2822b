"""Logistic regressions of all folds at once, preconditioned by Gram matrices."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from ._moments import FoldMoments, cross_products, linear_scores
from ._ridge import fit_ridge


class LogisticFolds(NamedTuple):
    """Logistic regressions of all folds but each.

    Attributes
    ----------
    coefs : ndarray of shape (n_splits, d)
        Coefficients.
    intercepts : ndarray of shape (n_splits,)
        Intercepts.
    """

    coefs: NDArray[np.float64]
    intercepts: NDArray[np.float64]


def fit_sigmoid(scores, labels, weight=None) -> tuple[float, float]:
    """Fit ``P(label = 1) = sigmoid(slope * score + intercept)`` by Newton's method.

    Parameters
    ----------
    scores : ndarray of shape (n,)
        Unbounded scores.
    labels : ndarray of shape (n,)
        0, 1 or fractions between.
    weight : ndarray of shape (n,), default=None
        Row weights; None is 1 for each.

    Returns
    -------
    slope, intercept : float
        Parameters of the sigmoid.

    Notes
    -----
    Platt scaling with his smoothed targets, which keep the slope finite on separable data.
    """
    weight = np.ones(len(scores)) if weight is None else weight
    positives = float(weight @ labels)
    negatives = float(weight.sum()) - positives
    smoothed = labels * (positives + 1) / (positives + 2) + (1 - labels) / (negatives + 2)
    center, spread = float(np.average(scores, weights=weight)), float(np.std(scores))
    z = (scores - center) / (spread or 1.0)
    theta = np.array([0.0, np.log((positives + 1) / (negatives + 1))])
    for _ in range(50):
        p = expit(theta[0] * z + theta[1])
        residual, curvature = weight * (smoothed - p), weight * p * (1 - p)
        gradient = np.array([residual @ z, residual.sum()])
        mixed = curvature @ z
        hessian = np.array([[curvature @ z**2, mixed], [mixed, curvature.sum()]])
        hessian[np.diag_indices(2)] += 1e-9 * weight.sum()
        step = np.linalg.solve(hessian, gradient)
        step /= max(1.0, np.abs(step).max() / 4)
        theta += step
        if np.abs(step).max() < 1e-8:
            break
    slope = theta[0] / (spread or 1.0)
    return float(slope), float(theta[1] - slope * center)


def fit_logistic_folds(moments: FoldMoments, labels: NDArray) -> LogisticFolds:
    """Fit one ridge-penalised logistic regression per fold, on all rows of the other folds.

    Parameters
    ----------
    moments : FoldMoments
        Moments of the rows to fit on.
    labels : ndarray of shape (n,)
        0 or 1; only rows of positive weight in `moments` are read.

    Returns
    -------
    LogisticFolds
        The fitted models.

    Notes
    -----
    The penalty is the one with the least out-of-fold squared error of a linear fit to the labels,
    a search that never reads X. The start is the linear fit scaled by 1/v, with v = p(1-p) at the
    mean label. With v the mean of p(1-p) over rows, v Gram + penalty approximates the Hessian of
    a step (Boehning and Lindsay, 1988, use 1/4 for v); a search along the step corrects its length.
    """
    # Least log loss per unit of weight that a step must promise: 1e-5 is well under the effect of
    # sampling noise. Each step is two passes over X for all folds together.
    tol = 1e-5 if moments.X.dtype == np.float32 else 1e-14
    linear = fit_ridge(moments, labels, folds_only=True)
    X, rows, K = moments.X, moments.rows, moments.n_splits
    labels = labels if rows is None else labels[rows]
    # Column k holds the weights of the rows that fold k's model may see.
    weight = np.repeat(moments.weight[:, None], K, axis=1)
    weight[np.arange(len(labels)), moments.fold] = 0
    totals = weight.sum(axis=0)
    share = labels @ weight / totals
    v = share * (1 - share)
    penalties = linear.alpha * moments.typical_variance * totals * v
    center = moments.center.astype(np.float64)

    coefs = linear.fold_coefs.T / v
    scores = linear_scores(X, coefs, rows)
    intercepts = np.log(share / (1 - share)) - np.einsum("nk,nk->k", weight, scores) / totals
    for _ in range(100):
        p = expit(scores + intercepts)
        residual = weight * (labels[:, None] - p)
        v = np.einsum("nk,nk->k", weight, p * (1 - p)) / totals
        lost = residual.sum(axis=0)
        gradient = cross_products(X, residual, rows) - np.outer(center, lost) - penalties * coefs
        step, promised = np.empty_like(coefs), np.empty(K)
        for k, system in enumerate(moments.training_systems()):
            rhs = (gradient[:, k] - lost[k] * moments.training_mean(k)[1]) / v[k]
            shift = np.array([penalties[k] / v[k]])
            step[:, k] = system(None).solve(rhs, shift, tol=0.03)[0][:, 0]
            promised[k] = rhs @ step[:, k] * v[k] / 2
        if (promised <= tol * totals).all():
            break
        move = linear_scores(X, step, rows)
        lengths, shifts = _search(labels, weight, scores + intercepts, move, coefs, step, penalties)
        coefs += lengths * step
        scores += lengths * move
        intercepts += shifts
    return LogisticFolds(coefs.T, intercepts)


def _search(labels, weight, scores, move, coefs, step, penalties):
    """Minimise the log loss of each column over a step length and an intercept, by Newton."""
    length, shift = np.zeros(len(penalties)), np.zeros(len(penalties))
    along, across = np.einsum("dk,dk->k", step, coefs), np.einsum("dk,dk->k", step, step)
    for _ in range(4):
        p = expit(scores + length * move + shift)
        residual, curvature = weight * (labels[:, None] - p), weight * p * (1 - p)
        g0 = np.einsum("nk,nk->k", residual, move) - penalties * (along + length * across)
        g1 = residual.sum(axis=0)
        curved = curvature * move
        h00 = np.einsum("nk,nk->k", curved, move) + penalties * across + 1e-30
        h01, h11 = curved.sum(axis=0), curvature.sum(axis=0) + 1e-30
        determinant = np.maximum(h00 * h11 - h01**2, 1e-12 * h00 * h11)
        length += (h11 * g0 - h01 * g1) / determinant
        shift += (h00 * g1 - h01 * g0) / determinant
    return length, shift
