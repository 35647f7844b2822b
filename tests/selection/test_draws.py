"""Draws of pseudo-outcomes: unbiased for the reward, and as uncertain as the log."""

import warnings

import numpy as np
import pytest

from skcausalrm import SelectionModel
from skcausalrm._utils._columns import check_columns
from skcausalrm.datasets import make_observational_feedback
from skcausalrm.exceptions import SkcausalrmWarning
from skcausalrm.nuisances._recipes import correct_labels
from skcausalrm.selection._draws import outcome_draws


@pytest.fixture(scope="module")
def log():
    return make_observational_feedback(
        6000, 8, selection="reward", n_asked=300, n_verified=300, random_state=0
    )


def fitted(log, y=None, **given):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkcausalrmWarning)
        return SelectionModel(random_state=0).fit(log.X, log.y if y is None else y, **given)


def draws_of(model, log, y=None, seed=0, **given):
    columns = check_columns(log.X, **given)
    return outcome_draws(model, log.y if y is None else y, columns, 40, seed)


@pytest.fixture(scope="module")
def alone(log):
    return fitted(log)


@pytest.fixture(scope="module")
def checked(log):
    return fitted(log, verified=log.verified)


def test_their_means_are_as_uncertain_as_the_base_rate(log, alone, checked):
    level = draws_of(alone, log).mean(axis=0)
    low, high = alone.base_rate_interval_
    assert level.std() == pytest.approx((high - low) / 3.29, rel=0.4)
    assert level.mean() == pytest.approx(alone.base_rate_, abs=0.05)
    level = draws_of(checked, log, verified=log.verified).mean(axis=0)
    assert level.std() < 0.05
    assert abs(level.mean() - log.reward.mean()) < 3 * level.std() + 0.01


def test_they_grade_what_the_linear_predictors_miss(log, checked):
    """The mean of r - z is 0 in every part of x, also where the posterior is off."""
    z = draws_of(checked, log, verified=log.verified).mean(axis=1)
    beyond = log.probability - checked.oof_probability_
    part = np.argsort(np.argsort(beyond)) // 2000
    gaps = {
        name: [np.mean((log.reward - target)[part == k]) for k in (0, 2)]
        for name, target in (("posterior", checked.oof_posterior_), ("draws", z))
    }
    assert gaps["posterior"][0] < -0.05
    assert gaps["posterior"][1] > 0.05
    assert np.abs(gaps["draws"]).max() < np.abs(gaps["posterior"]).min()


def test_one_seed_one_result(log, alone):
    z = draws_of(alone, log)
    np.testing.assert_array_equal(z, draws_of(alone, log))
    assert not np.array_equal(z, draws_of(alone, log, seed=1))


def test_asked_answers_are_corrected_labels(log):
    model = fitted(log, asked=log.asked)
    z = draws_of(model, log, asked=log.asked)
    volunteered = draws_of(model, log)
    rates = model.false_positive_rate_, model.false_negative_rate_
    liked = z[log.asked & (log.y == 1)].mean()
    assert liked == pytest.approx(correct_labels(1, rates), rel=0.1)
    assert z[log.asked].var() < volunteered[log.asked].var()


def test_clicks_have_the_posterior(log):
    clicks = np.where(log.y == 1, 1.0, np.nan)
    model = fitted(log, clicks, verified=log.verified)
    z = draws_of(model, log, clicks, verified=log.verified)
    assert z.min() > 0
    assert z.max() < 1
    np.testing.assert_allclose(z.mean(axis=1), model.oof_posterior_, atol=0.1)


def test_weights_count_as_rows(log):
    rows = slice(3000)
    weight = np.where(log.probability[rows] > 0.6, 2.0, 0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkcausalrmWarning)
        model = SelectionModel(random_state=0)
        model.fit(log.X[rows], log.y[rows], sample_weight=weight)
    columns = check_columns(log.X[rows], sample_weight=weight)
    z = outcome_draws(model, log.y[rows], columns, 40, 0)
    assert np.mean(weight @ z) / weight.sum() == pytest.approx(model.base_rate_, abs=0.05)
