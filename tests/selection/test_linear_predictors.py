"""The two indices: out of fold, of unit variance, and of the same spread on new rows."""

import numpy as np
import pytest
from scipy.special import expit

from skcausalrm._utils._columns import RowColumns
from skcausalrm.datasets import make_observational_feedback
from skcausalrm.model_selection._cross_fitting import Folds, make_folds
from skcausalrm.selection._linear_predictors import (
    _common_scale,
    _slope_rows,
    fit_linear_predictors,
)

LIKED, RATED = 0, 1


@pytest.fixture(scope="module")
def log():
    return make_observational_feedback(2000, 8, n_asked=200, dtype="float64", random_state=0)


def fitted(X, y, asked=None, sample_weight=None, *, folds=None, groups=None):
    folds = make_folds(X, y, groups, 4, 0) if folds is None else folds
    columns = RowColumns(asked=asked, sample_weight=sample_weight)
    return fit_linear_predictors(X, y, columns, folds, np.random.RandomState(0))[0]


def test_mean_0_variance_1_and_what_they_say(log):
    found = fitted(log.X, log.y, log.asked)
    np.testing.assert_allclose(found.z.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(found.z.var(axis=0), 1)
    assert np.corrcoef(found.z[:, LIKED], log.probability)[0, 1] > 0.7
    assert np.corrcoef(found.z[:, RATED], log.propensity)[0, 1] > 0.8
    weight = np.random.default_rng(0).uniform(0, 2, len(log.y))
    z = fitted(log.X, log.y, log.asked, weight).z
    np.testing.assert_allclose(np.average(z, weights=weight, axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(np.average(z**2, weights=weight, axis=0), 1)


def test_no_index_sees_its_own_feedback(log):
    """Turning a fold's feedback about moves the other folds' indices, and hardly its own.

    All folds share the candidates' weights and one coefficient along the second predictor's
    direction, which move its own a little.
    """
    folds = make_folds(log.X, log.y, None, 4, 0)
    before = fitted(log.X, log.y, folds=folds)
    rows = np.flatnonzero((folds.of_row == 0) & ~np.isnan(log.y))[:20]
    y = log.y.copy()
    y[rows] = 1 - y[rows]
    after = fitted(log.X, y, folds=folds)
    own, others = folds.of_row == 0, folds.of_row == 1

    def moved(rows):
        """Return the share of variance that neither the old index nor the direction explains."""
        known = np.column_stack([before.z[rows], np.ones(rows.sum())])
        new = after.z[rows, LIKED]
        return np.linalg.lstsq(known, new, rcond=None)[1][0] / new.var()

    assert moved(own) < 0.25 * moved(others)
    np.testing.assert_allclose(before.z[:, RATED], after.z[:, RATED], atol=1e-9)


def test_equal_rows_and_groups_get_equal_treatment(log):
    rows = np.repeat(np.arange(600), 2)
    y = log.y[rows].copy()
    y[1::2] = np.nan
    z = fitted(log.X[rows], y).z
    np.testing.assert_array_equal(z[::2], z[1::2])
    groups = np.arange(600) // 3
    folds = make_folds(log.X[:600], log.y[:600], groups, 4, 0)
    assert all(len(set(folds.of_row[groups == g])) == 1 for g in range(200))


def test_asked_rows_tell_of_what_is_liked_and_not_of_who_volunteers(log):
    folds = make_folds(log.X, log.y, None, 4, 0)
    with_answers = fitted(log.X, log.y, log.asked, folds=folds)
    without = fitted(log.X, np.where(log.asked, np.nan, log.y), log.asked, folds=folds)
    np.testing.assert_allclose(with_answers.z[:, RATED], without.z[:, RATED], atol=1e-9)
    assert not np.allclose(with_answers.z[:, LIKED], without.z[:, LIKED], atol=1e-3)
    as_volunteers = fitted(log.X, log.y, folds=folds)
    assert not np.allclose(with_answers.z[:, RATED], as_volunteers.z[:, RATED], atol=1e-3)


def test_volunteers_with_likes_and_dislikes_teach_what_is_liked_next_to_asked_answers(log):
    """Answers of 40 asked rows that are noise must not be all that the first predictor reads."""
    y = log.y.copy()
    asked = np.zeros(len(y), dtype=bool)
    asked[np.flatnonzero(log.asked & ~np.isnan(y))[:40]] = True
    y[asked] = np.arange(40) % 2
    found = fitted(log.X, y, asked)
    assert np.corrcoef(found.z[:, LIKED], log.probability)[0, 1] > 0.7


def test_an_index_that_cannot_be_fitted_is_flat(log):
    clicks = np.where(log.y == 1, 1.0, np.nan)
    found = fitted(log.X, clicks)
    assert not found.z[:, LIKED].any()
    assert not found.directions[:, LIKED].any()
    assert found.slope[LIKED] == 1
    assert found.z[:, RATED].std() == pytest.approx(1)
    complete = fitted(log.X, log.reward)
    assert not complete.z[:, RATED].any()
    assert complete.z[:, LIKED].std() == pytest.approx(1)
    one = log.y.copy()
    one[np.flatnonzero(one == 0)[1:]] = np.nan  # a class that most folds lack
    assert not fitted(log.X, one).z[:, LIKED].any()


def test_beside_asked_answers_clicks_teach_nothing_of_what_is_liked(log):
    folds = make_folds(log.X, log.y, None, 4, 0)
    y = np.where(log.asked | (log.y == 1), log.y, np.nan)
    clicks = fitted(log.X, y, log.asked, folds=folds)
    blame = fitted(log.X, np.where(log.asked, y, 1 - y), log.asked, folds=folds)
    np.testing.assert_array_equal(clicks.z[:, LIKED], blame.z[:, LIKED])
    assert clicks.z[:, RATED].std() == pytest.approx(1)


def test_weight_0_is_absence(log):
    rng = np.random.default_rng(0)
    weight = (rng.random(len(log.y)) < 0.7).astype(float)
    folds = make_folds(log.X, log.y, None, 4, 0)
    y = np.where(weight > 0, log.y, 1.0)
    found = [fitted(log.X, feedback, None, weight, folds=folds) for feedback in (log.y, y)]
    np.testing.assert_allclose(found[0].z, found[1].z, atol=1e-9)


def test_new_rows_get_the_mean_of_the_folds_models(log):
    found = fitted(log.X, log.y, log.asked)
    z = log.X @ found.directions + found.offsets
    for j in (LIKED, RATED):
        assert np.corrcoef(z[:, j], found.z[:, j])[0, 1] > 0.95


@pytest.mark.parametrize("seed", range(3))
def test_slope_is_how_much_less_the_folds_mean_varies_on_new_rows(seed):
    """Coefficients learned on out-of-fold predictors are too small on the folds' mean."""
    log = make_observational_feedback(11_000, 128, signal="weak", random_state=seed)
    train, new = slice(0, 3000), slice(3000, None)
    found = fitted(log.X[train], log.y[train])
    assert found.slope[LIKED] > 1.02
    stretched = (log.X[new] @ found.directions).var(axis=0)
    np.testing.assert_allclose(stretched, found.slope, rtol=0.1)


@pytest.mark.parametrize(("n", "expected"), [(500, None), (10_000, 2000), (400_000, 4000)])
def test_the_slope_is_measured_on_a_fifth_of_the_rows_and_at_most_4_000(n, expected):
    rows = _slope_rows(np.arange(n), np.random.RandomState(0))
    if expected is None:
        assert rows is None  # 100 rows are too few
    else:
        assert rows.sum() == pytest.approx(expected, rel=0.05)


class TestCommonScale:
    def scale(self, sizes, worth):
        """Scores of folds of given sizes, of which a unit is worth `worth` of the labels' scale."""
        rng = np.random.default_rng(0)
        fold = np.repeat(np.arange(len(sizes)), sizes)
        score = rng.normal(size=len(fold))
        label = (rng.random(len(fold)) < expit(np.asarray(worth)[fold] * score)).astype(float)
        folds = Folds(fold, len(sizes), np.arange(len(fold)))
        return _common_scale(score, label, folds, np.ones(len(fold)))

    def test_folds_of_one_size_stay_as_they_are(self):
        np.testing.assert_array_equal(self.scale([1000] * 4, [1, 1, 0.2, 1]), 1)

    def test_the_model_of_few_rows_is_worth_what_it_tells(self):
        scale = self.scale([4000, 300, 300, 300], [0.2, 1, 1, 1])
        assert scale[0] < 0.7
        np.testing.assert_allclose(scale[1:], 1, atol=0.02)

    def test_scores_that_tell_nothing_stay_as_they_are(self):
        np.testing.assert_array_equal(self.scale([4000, 300, 300], [-1, -1, -1]), 1)
