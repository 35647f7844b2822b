"""Two linear predictors per row: of being liked given rated, and of being rated."""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from .._utils._columns import RowColumns
from ..heads._averaged_ridge import fit_averaged_ridge
from ..heads._moments import FoldMoments, cross_products, linear_scores
from ..heads._prior_covariance import Spectrum
from ..heads._ridge import held_out_scores
from ..model_selection._cross_fitting import Folds, training_rows

# Share and maximum number of rows on which the slope is measured.
_SLOPE_SHARE, _SLOPE_ROWS = 0.2, 4_000
# Minimum number of rows for the slope to be measured at all.
_MIN_SLOPE_ROWS = 200
# Range of slopes: below 1 the folds' mean would vary more than each.
_SLOPES = (1.0, 2.0)
# How many ordinary rows a verified row counts for: its label has no flips and no selection.
_VERIFIED_TIMES = 3.0
# Standard errors by which the second predictor must tell, out of fold, who is rated.
_LEAST_EVIDENCE = 2.5
# Minimum training rows per class and fold for a predictor to be fitted.
_MIN_PER_CLASS = 2
# Standard deviation below which a predictor counts as constant.
_MIN_SPREAD = 1e-8


class FoldModels(NamedTuple):
    """Coefficients of all folds but each, and of the same without the rows left out."""

    coefs: NDArray[np.float64]
    unseen: NDArray[np.float64] | None

    def times(self, scale) -> Self:
        """Return the models with their coefficients times a factor each."""
        scale = scale[:, None]
        unseen = None if self.unseen is None else self.unseen * scale
        return self._replace(coefs=self.coefs * scale, unseen=unseen)

    def plus(self, other: Self) -> Self:
        """Return the sums of two models each."""
        both = self.unseen is not None and other.unseen is not None
        unseen = self.unseen + other.unseen if both else None  # type: ignore[operator]
        return self._replace(coefs=self.coefs + other.coefs, unseen=unseen)


class SharedMoments(NamedTuple):
    """Moments of X that the next regressions can have, and the spectrum of X behind all priors."""

    moments: FoldMoments
    spectrum: Spectrum


class LinearPredictors(NamedTuple):
    """Out-of-fold linear predictors of the training rows, and the map to those of new rows.

    Attributes
    ----------
    z : ndarray of shape (n, 2)
        Predictors with mean 0 and variance 1: column 0 of P(liked given rated), column 1 of
        P(rated). A predictor that cannot be fitted is 0 throughout. All folds share the weights of
        the averages, and of column 0 its coefficient along column 1's direction.
    directions : ndarray of shape (d, 2)
    offsets : ndarray of shape (2,)
        New rows have ``x @ directions + offsets``, the mean over folds times `slope`.
    slope : ndarray of shape (2,)
        Variance of an out-of-fold predictor divided by the variance of the folds' mean, on rows
        that no fold has seen. The mean varies less because noise in the folds' coefficients
        averages out, so coefficients learned on out-of-fold predictors would be too flat on it.
    mean_row : ndarray of shape (d,)
    left_out : ndarray of bool, shape (n,), or None
        Rows on which the slope is measured.
    first : FoldModels or None
        Models behind column 0, in its units; None where it is 0 throughout.
    """

    z: NDArray[np.float64]
    directions: NDArray[np.float64]
    offsets: NDArray[np.float64]
    slope: NDArray[np.float64]
    mean_row: NDArray[np.float64]
    left_out: NDArray[np.bool_] | None
    first: FoldModels | None = None

    def replace_column(
        self, j: int, X: NDArray, models: FoldModels, scores: NDArray, weight: NDArray
    ) -> Self | None:
        """Return these predictors with column j by the models of the folds.

        Parameters
        ----------
        j : int
        X : ndarray of shape (n, d)
        models : FoldModels
        scores : ndarray of shape (n,)
            Out-of-fold scores of the rows, each model's less that of the mean row.
        weight : ndarray of shape (n,)

        Returns
        -------
        LinearPredictors or None
            None where the scores hardly vary.
        """
        mean = np.average(scores, weights=weight)
        sd = np.sqrt(np.average((scores - mean) ** 2, weights=weight))
        if not sd > _MIN_SPREAD:
            return None
        z, directions = self.z.copy(), self.directions.copy()
        offsets, slope = self.offsets.copy(), self.slope.copy()
        models = models.times(np.full(len(models.coefs), 1 / sd))
        slope[j] = 1.0
        if models.unseen is not None and self.left_out is not None:
            slope[j] = _slope(X, models.unseen, np.flatnonzero(self.left_out))
        z[:, j] = (scores - mean) / sd
        directions[:, j] = slope[j] * models.coefs.mean(axis=0)
        offsets[j] = -directions[:, j] @ self.mean_row - slope[j] * mean / sd
        first = models if j == 0 else self.first
        return self._replace(z=z, directions=directions, offsets=offsets, slope=slope, first=first)

    def first_by_fold(self) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Return directions (d, K) and offsets (K,) of the first predictor by each fold's model.

        Their mean is that of `directions` and `offsets`.
        """
        if self.first is None:
            return None
        directions = self.slope[0] * self.first.coefs.T
        change = self.mean_row @ (self.directions[:, :1] - directions)
        return directions, self.offsets[0] + change


def fit_linear_predictors(
    X: NDArray,
    y: NDArray,
    columns: RowColumns,
    folds: Folds,
    random_state: int | np.random.RandomState | None,
    *,
    keeps_moments: bool = False,
) -> tuple[LinearPredictors, SharedMoments | None]:
    """Fit each linear predictor by averaged ridge regressions, one per fold.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    y : ndarray of shape (n,)
        0, 1, NaN where unrated.
    columns : RowColumns
        Asked and verified rows inform the first predictor; asked rows do not inform the second.
    folds : Folds
    random_state : int, RandomState instance or None
        Draws the rows on which the slope is measured.
    keeps_moments : bool, default=False
        Return moments too, which take as many Gram matrices as there are folds.

    Returns
    -------
    predictors : LinearPredictors
    shared : SharedMoments or None
        By the row weights of the second predictor: None where it could not be fitted.

    Notes
    -----
    Where selection is multiplicative, the log odds of being liked given rated are those of being
    good plus a constant, so the first predictor has the right direction and is only noisy. What
    makes an answer rated is known for every row. So the penalty spares that direction, and
    otherwise shrinks towards 0.
    """
    n, d = X.shape
    volunteers = columns.unasked(n)
    rated = np.where(volunteers, ~np.isnan(y), np.nan)
    liked, times = _liked(y, volunteers, columns.verified)
    row_weight = columns.weighted(np.ones(n))
    predictors = LinearPredictors(
        np.zeros((n, 2)),
        np.zeros((d, 2)),
        np.zeros(2),
        np.ones(2),
        cross_products(X, row_weight) / row_weight.sum(),
        _slope_rows(folds.groups, check_random_state(random_state)),
    )
    weights = {
        j: columns.weighted(np.where(np.isnan(labels), 0.0, times if j == 0 else 1.0))
        for j, labels in ((0, liked), (1, rated))
        if _enough(labels, folds, columns.sample_weight)
    }
    moments = _moments_by(weights, X, folds)
    shared: SharedMoments | None = None
    spectrum: Spectrum | None = None
    second: FoldModels | None = None
    for j, labels in ((1, rated), (0, liked)):
        if j not in moments:
            continue
        own = moments.pop(j)
        spectrum = own.spectrum if spectrum is None else spectrum
        if keeps_moments and j == 1:
            shared = SharedMoments(own, spectrum)
        unseen = predictors.left_out
        if unseen is not None and not _enough(np.where(unseen, np.nan, labels), folds, weights[j]):
            unseen = None
        found = fit_folds(own, labels, spectrum, unseen, second)
        del own  # free these Gram matrices before the rows are scored
        scores = out_of_fold(X, found, folds, predictors.mean_row)
        scale = _common_scale(scores, labels, folds, weights[j])
        found, scores = found.times(scale), scores * scale[folds.of_row]
        if j == 1 and not _evidence(scores, labels, folds.groups, weights[j]) > _LEAST_EVIDENCE:
            continue
        changed = predictors.replace_column(j, X, found, scores, row_weight)
        if changed is not None:
            predictors, second = changed, found
    return predictors, shared


def _moments_by(weights: dict[int, NDArray], X, folds: Folds) -> dict[int, FoldMoments]:
    """Return the moments of X by each of the weights, 0 and 1, the second made of the first.

    Most rows of the first, those with feedback, are rows of the second with the same weight.
    """
    moments: dict[int, FoldMoments] = {}
    for j in sorted(weights):
        if moments:
            moments[j] = moments[0].copy()
            moments[j].reweigh(weights[j])
        else:
            moments[j] = FoldMoments(X, folds.of_row, folds.n_splits, weights[j])
    return moments


def out_of_fold(X: NDArray, models: FoldModels, folds: Folds, mean_row: NDArray) -> NDArray:
    """Return each row's score by its fold's model less that of the mean row, shape (n,)."""
    return held_out_scores(X, folds.of_row, models.coefs, -models.coefs @ mean_row)


def _liked(y, volunteers, verified) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what the first predictor is fitted to, and how many times each row counts."""
    liked, times = y.copy(), np.ones(len(y))
    if not _both(liked[volunteers]) and _both(liked[~volunteers]):
        # Clicks hold no dislikes. Next to asked answers they would teach who clicks.
        liked[volunteers] = np.nan
    if verified is not None and _both(liked):
        judged = ~np.isnan(verified)
        liked[judged], times[judged] = verified[judged], _VERIFIED_TIMES
    return liked, times


def fit_folds(
    moments: FoldMoments,
    labels: NDArray,
    spectrum: Spectrum,
    left_out: NDArray[np.bool_] | None,
    known: FoldModels | None = None,
) -> FoldModels:
    """Fit averaged ridge regressions of all folds but each, and of the same without some rows.

    Parameters
    ----------
    moments : FoldMoments
        Moments of the rows to fit on; in the end those of the rows that are not left out.
    labels : ndarray of shape (n,)
    spectrum : Spectrum
        Of the covariance of X.
    left_out : ndarray of bool, shape (n,), or None
    known : FoldModels or None, default=None
        Models along whose directions nothing is penalised.
    """
    directions = None if known is None else known.coefs
    fit = fit_averaged_ridge(moments, labels, spectrum, directions=directions)
    coefs, unseen = _pooled(fit.coefs, directions), None
    if left_out is not None:
        if known is not None and known.unseen is not None:
            directions = known.unseen
        moments.reweigh(np.where(left_out, 0, moments.row_weight))
        again = fit_averaged_ridge(
            moments, labels, spectrum, directions=directions, weights=fit.weights
        )
        unseen = _pooled(again.coefs, directions)
    return FoldModels(coefs, unseen)


def _pooled(coefs, directions):
    """Give the folds' models one coefficient along the direction that is not penalised.

    It is estimated without a penalty, so with few ratings its noise would set folds apart. The
    price: the mean has seen a row's own fold, so thumbs that are noise look as if a direction of x
    told a little of them, the more the fewer they are (AUROC .53 at 105 ratings).
    """
    if directions is None:
        return coefs
    squares = np.einsum("kd,kd->k", directions, directions)
    along = np.einsum("kd,kd->k", coefs, directions) / np.maximum(squares, 1e-300)
    return coefs + (along.mean() - along)[:, None] * directions


def _common_scale(scores, labels, folds: Folds, weight) -> NDArray[np.float64]:
    """Return the factor of each fold's model that makes a unit of its scores worth the same.

    It is the slope of the labels on the fold's own out-of-fold scores, in units of all folds', with
    a normal prior around 1 whose deviation is the share of rows that the model lacks: 0 for that
    with the most. A model of few rows, in folds that a large group makes unequal, varies more than
    it knows.
    """
    rows, fold = np.flatnonzero(weight), folds.of_row
    w, of_row, k = weight[rows], fold[rows], folds.n_splits

    def centred(values):
        return values - (np.bincount(of_row, w * values, k) / np.maximum(inside, 1e-300))[of_row]

    inside = np.bincount(of_row, w, k)
    outside = inside.sum() - inside
    score, label = centred(scores[rows]), centred(labels[rows].astype(np.float64))
    spread = np.bincount(of_row, w * score**2, k)
    common = np.bincount(of_row, w * score * label, k)
    slope = common.sum() / max(spread.sum(), 1e-300)
    if not slope > 0:
        return np.ones(k)
    # Precision of a fold's slope, in units of the common one, and variance of its prior.
    precision = spread * slope**2 * inside.sum() / max(w @ label**2, 1e-300)
    variance = (1 - outside / outside.max()) ** 2
    own = common / np.maximum(spread, 1e-300) / slope
    return np.maximum(1 + (own - 1) * variance * precision / (1 + variance * precision), 0)


def _evidence(scores, labels, groups, weight) -> float:
    """Return the covariance of out-of-fold scores and labels in units of its standard error."""
    rows = np.flatnonzero(weight)
    weight, scores, labels = weight[rows], scores[rows], labels[rows]
    product = (scores - np.average(scores, weights=weight)) * (
        labels - np.average(labels, weights=weight)
    )
    product *= weight
    of_groups = np.bincount(groups[rows], product - product.mean())
    return float(product.sum() / np.sqrt(of_groups @ of_groups))


def _both(labels) -> bool:
    return bool((labels == 0).any() and (labels == 1).any())


def _enough(labels, folds: Folds, sample_weight) -> bool:
    """Return True if every fold's training part has rows of both classes."""
    return bool((training_rows(labels, folds, sample_weight) >= _MIN_PER_CLASS).all())


def _slope_rows(groups: NDArray[np.intp], rng) -> NDArray[np.bool_] | None:
    share = min(_SLOPE_SHARE, _SLOPE_ROWS / len(groups))
    chosen = rng.random_sample(groups.max() + 1) < share
    rows = chosen[groups]
    return rows if _MIN_SLOPE_ROWS <= rows.sum() < len(rows) / 2 else None


def _slope(X, coefs, rows) -> float:
    scores = linear_scores(X, coefs.T, rows)
    together = scores.mean(axis=1).var()
    return float(np.clip(scores.var(axis=0).mean() / together, *_SLOPES)) if together > 0 else 1.0
