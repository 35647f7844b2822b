"""Cross-fitted, calibrated probability of a binary outcome, for propensities and flip rates."""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression

from .._utils._clusters import clustered_covariance
from .._utils._columns import RowColumns
from .._utils._validation import check_new_rows, check_two_classes
from ..exceptions import FeedbackError, InvalidInputError
from ..heads._logistic import fit_logistic_folds, fit_sigmoid
from ..heads._moments import FoldMoments, linear_scores
from ..heads._ridge import held_out_scores
from ..model_selection._cross_fitting import cross_fit, training_rows
from ._base import NuisanceClassifier


class LinearClassifier:
    """A fitted logistic regression.

    Parameters
    ----------
    coef : ndarray of shape (d,)
    intercept : float
    """

    def __init__(self, coef: NDArray, intercept: float):
        self.coef_, self.intercept_, self.classes_ = coef, intercept, np.array([0, 1])

    def decision_function(self, X) -> NDArray[np.float64]:
        """Return the linear score, shape (n,)."""
        return linear_scores(X, self.coef_) + self.intercept_

    def predict_proba(self, X) -> NDArray[np.float64]:
        """Return uncalibrated probabilities, shape (n, 2)."""
        p = expit(self.decision_function(X))
        return np.column_stack([1 - p, p])


def _log_odds(classifier: Any, X) -> NDArray[np.float64]:
    """Return a score that grows with the odds of class 1, from any binary classifier."""
    if hasattr(classifier, "decision_function"):
        return np.asarray(classifier.decision_function(X), dtype=np.float64).ravel()
    p = np.asarray(classifier.predict_proba(X), dtype=np.float64)[:, 1]
    return logit(np.clip(p, 1e-6, 1 - 1e-6))


class FoldProbability:
    """P(1 given x) as the mean over the fold classifiers.

    Parameters
    ----------
    models : list
        One fitted classifier per fold.
    calibrate : callable
        Map from log odds to probability, the same for all folds.
    """

    def __init__(self, models, calibrate):
        self.models, self.calibrate = models, calibrate

    def predict(self, X) -> NDArray[np.float64]:
        """Return the mean over folds of the calibrated probability, shape (n,)."""
        return np.mean([self.calibrate(_log_odds(model, X)) for model in self.models], axis=0)


def sigmoid(slope: float, intercept: float, scores):
    """Calibration map ``expit(slope * score + intercept)``."""
    return expit(slope * scores + intercept)


class NoisySigmoid:
    """Calibration map ``low + (high - low) sigmoid(slope * z + intercept)``, for flipped labels.

    Parameters
    ----------
    theta : ndarray of shape (4,)
        Slope, intercept, and phi of either flip rate ``sigmoid(phi) / 2``.
    center, spread : float
        ``z = (score - center) / spread``.
    covariance : ndarray of shape (4, 4)
        Covariance of `theta`, clustered by group and user.
    """

    def __init__(self, theta, center, spread, covariance):
        self.theta, self.center, self.spread = theta, center, spread
        self.covariance = covariance
        low, flipped = expit(theta[2:]) / 2
        self.low, self.high = float(low), float(1 - flipped)

    def __call__(self, scores, theta=None):
        slope, intercept, *phi = self.theta if theta is None else theta.T
        low, flipped = expit(phi[0]) / 2, expit(phi[1]) / 2
        z = (scores - self.center) / self.spread
        return low + (1 - low - flipped) * expit(slope * z + intercept)


def fit_noisy_sigmoid(scores, labels, groups, users=None, weight=None) -> NoisySigmoid:
    """Fit a sigmoid with levels set by flips: P(s=1) = fpr + (1 - fpr - fnr) P(r=1).

    A plain sigmoid reaches 0 and 1, so its extreme quantiles understate the flip rates (with
    anchors and true rates .1 and .2 it gave .06 and .09).

    Parameters
    ----------
    scores, labels : ndarray of shape (n,)
    groups : ndarray of int, shape (n,)
        Clusters of the covariance.
    users : array-like of shape (n,) or None
        Further clusters of the covariance.
    weight : ndarray of shape (n,) or None

    Notes
    -----
    Maximum a posteriori with each rate ``sigmoid(phi) / 2``, ``phi ~ N(-1, 1)``.
    """
    weight = np.ones(len(scores)) if weight is None else weight
    slope, intercept = fit_sigmoid(scores, labels, weight)
    center, spread = float(scores.mean()), float(scores.std()) or 1.0
    z = (scores - center) / spread

    def probabilities(theta):
        """P(label = 1) of each row and its derivatives by theta, (n, 4)."""
        low, flipped = expit(theta[2:]) / 2
        height = 1 - low - flipped
        p = expit(theta[0] * z + theta[1])
        q = np.clip(low + height * p, 1e-12, 1 - 1e-12)
        d_u = height * p * (1 - p)
        d_low, d_flipped = (1 - p) * low * (1 - 2 * low), -p * flipped * (1 - 2 * flipped)
        return q, np.column_stack([d_u * z, d_u, d_low, d_flipped])

    def loss(theta, q):
        log_likelihood = weight @ np.log(np.where(labels == 1, q, 1 - q))
        return ((theta[2:] + 1) ** 2).sum() / 2 - log_likelihood

    # Fisher scoring. The slope stays at 0 where higher scores go with worse rows: the classifier
    # has learned nothing then.
    theta = np.array([max(slope, 0) * spread, intercept + slope * center, -1.0, -1.0])
    q, d_q = probabilities(theta)
    for _ in range(100):
        information = (d_q * (weight / (q * (1 - q)))[:, None]).T @ d_q
        information += np.diag([1e-6, 1e-6, 1, 1])
        gradient = (weight * (labels - q) / (q * (1 - q))) @ d_q
        gradient[2:] -= theta[2:] + 1
        step, before = np.linalg.solve(information, gradient), loss(theta, q)
        for _ in range(20):
            proposal = theta + step
            proposal[0] = max(proposal[0], 0)
            q, d_q = probabilities(proposal)
            gained = before - loss(proposal, q)
            if gained >= 0:
                theta = proposal
                break
            step /= 2
        if gained < 1e-13 * weight.sum():
            break
    row_scores = d_q * (weight * np.where(labels == 1, 1 / q, -1 / (1 - q)))[:, None]
    bread = np.linalg.inv(information)
    meat = clustered_covariance(row_scores, groups, users)
    return NoisySigmoid(theta, center, spread, bread @ meat @ bread)


def _fit_calibration(kind, scores, labels, groups, users, weight):
    if kind is None:
        return expit
    if kind == "sigmoid":
        return partial(sigmoid, *fit_sigmoid(scores, labels, weight))
    if kind == "noisy":
        return fit_noisy_sigmoid(scores, labels, groups, users, weight)
    isotonic = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
    return isotonic.fit(scores, labels, sample_weight=weight).predict


class FoldClassifier(NuisanceClassifier):
    """Base of the nuisance estimators: classifiers of the folds, calibrated together."""

    def _fit_models(self, X, labels, columns: RowColumns, folds, moments, calibration):
        """Fit and calibrate one classifier per fold.

        Returns
        -------
        ndarray of shape (n,)
            Log odds of every row, labelled or not, by the classifier without its fold;
            ``model_.calibrate(scores)`` is P(1 given x).
        """
        check_two_classes(labels, columns.sample_weight)
        scores_of = ("decision_function", "predict_proba")
        if self.estimator is not None and not any(hasattr(self.estimator, n) for n in scores_of):
            raise InvalidInputError(
                f"estimator is a {type(self.estimator).__name__}, which has neither "
                f"{' nor '.join(scores_of)}: pass a classifier."
            )
        for label, counts in enumerate(training_rows(labels, folds, columns.sample_weight)):
            if not counts.all():
                raise FeedbackError(
                    f"The {int(np.count_nonzero(labels == label))} rows of class {label} are all "
                    f"in one fold, so one of {folds.n_splits} training parts has no such row: add "
                    f"rows of that class from other prompts, or use fewer folds."
                )
        rows = ~np.isnan(labels)
        if self.estimator is None:
            if moments is None:
                weight = columns.weighted(rows.astype(np.float64))
                moments = FoldMoments(X, folds.of_row, folds.n_splits, weight)
            coefs, intercepts = fit_logistic_folds(moments, labels)
            scores = held_out_scores(X, folds.of_row, coefs, intercepts)
            models: list[Any] = [
                LinearClassifier(c, float(a)) for c, a in zip(coefs, intercepts, strict=True)
            ]
        else:
            models, scores = cross_fit(
                self.estimator,
                X,
                np.where(rows, labels, 0).astype(np.intp),
                folds,
                rows=rows,
                fit_params=columns.fit_params,
                predict=_log_odds,
                n_jobs=self.n_jobs,
            )
        calibrate = _fit_calibration(
            calibration,
            scores[rows],
            labels[rows],
            folds.groups[rows],
            None if columns.users is None else columns.users[rows],
            None if columns.sample_weight is None else columns.sample_weight[rows],
        )
        self.model_ = FoldProbability(models, calibrate)
        return scores

    def predict_proba(self, X) -> NDArray[np.float64]:
        """Return the probabilities of both classes: the calibrated mean over the fold models.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Embeddings.

        Returns
        -------
        ndarray of shape (n, 2)
            P(feedback is negative or positive, flips included) or P(no feedback, feedback), not
            clipped.
        """
        X = check_new_rows(self, X)
        p = self.model_.predict(X)
        return np.column_stack([1 - p, p])
