"""Rows, weights and columns that cannot be used: one typed sentence, or the same result."""

import warnings

import numpy as np
import pandas as pd
import pytest

from skcausalrm import CausalRewardRegressor, PropensityEstimator
from skcausalrm.datasets import make_observational_feedback
from skcausalrm.exceptions import GroupsError, InvalidInputError, SkcausalrmWarning
from skcausalrm.heads import MLPHead, RidgeHead

METHODS = ("naive", "noise", "snips", "dr", "selection")


@pytest.fixture(scope="module")
def log():
    return make_observational_feedback(300, 4, observed_rate=0.5, random_state=0)


def rewards(method, X, y, **columns):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkcausalrmWarning)
        model = CausalRewardRegressor(method, random_state=0).fit(X, y, **columns)
    return model.predict(X)


def changed(X, value):
    X = X.copy()
    X[7, 2] = X[9, 3] = value
    return X


HOSTILE = [
    (lambda X: changed(X, np.nan), "X is NaN in 2 of 300 rows, first in row 7, column 2"),
    (lambda X: changed(X, -np.inf), "X is inf in 2 of 300 rows, first in row 7, column 2"),
    (lambda X: changed(X, -1e20), r"X is beyond 1e\+15 in 2 of 300 rows, first in row 7, column 2"),
    (lambda X: X * np.float32(1e19), r"X is beyond 1e\+15 in 300 of 300 rows"),
    (lambda X: X * np.float32(1e-25), "squares of that vanish: standardise"),
    (lambda X: X.astype(float) * 1e200, r"X is beyond 1e\+150"),
    (lambda X: X + 1j, "Complex data not supported: X has the dtype complex64"),
]


@pytest.mark.parametrize(("spoil", "sentence"), HOSTILE)
@pytest.mark.parametrize("method", METHODS)
def test_x_that_cannot_be_squared_is_refused(log, method, spoil, sentence):
    with pytest.raises(InvalidInputError, match=sentence):
        rewards(method, spoil(log.X), log.y)


@pytest.mark.parametrize("spoil", [part[0] for part in HOSTILE])
def test_so_it_is_by_heads_nuisances_and_predictions(log, spoil):
    X, rated = spoil(log.X), np.where(log.y == 1, 1.0, 0.0)
    fitted = RidgeHead().fit(log.X, rated)
    for call in (
        lambda: RidgeHead().fit(X, rated),
        lambda: MLPHead().fit(X, rated),
        lambda: PropensityEstimator().fit(X, rated),
        lambda: fitted.predict(X),
    ):
        with pytest.raises(InvalidInputError, match="X"):
            call()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("weight", [1e300, 1e13, 1e-300])
def test_weights_that_drown_the_others_are_refused(log, method, weight):
    weights = np.ones(300)
    weights[3] = weight
    with pytest.raises(InvalidInputError, match=r"in 1 of 300 rows, first with .* in row 3"):
        rewards(method, log.X, log.y, sample_weight=weights)


def test_a_known_propensity_of_hardly_anything_is_refused(log):
    propensity = np.full(300, 0.5)
    propensity[4] = 1e-310
    with pytest.raises(InvalidInputError, match="under 1e-12 in 1 of 300 rows"):
        rewards("ips", log.X, log.y, propensity=propensity)


@pytest.mark.parametrize("method", METHODS)
def test_float64_and_missing_values_of_pandas_give_the_same_rewards(log, method):
    y = np.array([pd.NA if np.isnan(value) else value for value in log.y], dtype=object)
    wide = rewards(method, log.X.astype(float), y)
    np.testing.assert_allclose(wide, rewards(method, log.X, log.y), atol=1e-3)


def test_floats_of_other_forms_keep_their_precision(log):
    narrow, wide = (rewards("naive", log.X.astype(dtype), log.y) for dtype in ("f4", "f8"))
    for dtype, expected in ((">f4", narrow), (">f8", wide), (np.longdouble, wide)):
        np.testing.assert_array_equal(rewards("naive", log.X.astype(dtype), log.y), expected)


def test_one_group_and_no_classifier_are_named(log):
    with pytest.raises(GroupsError, match="All 300 rows are of one group"):
        rewards("dr", log.X, log.y, groups=np.zeros(300))
    with pytest.raises(InvalidInputError, match="a RidgeHead, which has neither"):
        PropensityEstimator(RidgeHead()).fit(log.X, log.y == 1)
