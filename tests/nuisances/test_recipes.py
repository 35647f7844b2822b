"""The recipes as mathematics: unbiased in expectation, and linear in the label."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skcausalrm.exceptions import InvalidInputError
from skcausalrm.nuisances._recipes import NEEDS, RECIPES, correct_labels, effective_sample_size

rates = st.tuples(st.floats(0, 0.9), st.floats(0, 0.9)).filter(lambda p: sum(p) < 0.95)
unit = st.floats(0, 1)
inner = st.floats(0.01, 0.99)


def mean_over_flips(function, r, fpr_fnr):
    """Expectation of function(s) over the logged label s given the true label r."""
    fpr, fnr = fpr_fnr
    p_one = 1 - fnr if r else fpr
    return p_one * function(1.0) + (1 - p_one) * function(0.0)


@given(rates, st.booleans(), inner)
def test_surrogate_loss_is_unbiased_over_flips(fpr_fnr, r, f):
    def log_loss(t):
        return -(t * np.log(f) + (1 - t) * np.log1p(-f))

    def surrogate(s):
        return log_loss(correct_labels(np.array([s]), fpr_fnr)[0])

    assert mean_over_flips(surrogate, r, fpr_fnr) == pytest.approx(log_loss(float(r)), abs=1e-9)


@given(rates, st.booleans(), unit)
def test_corrected_label_equals_natarajan_surrogate_for_squared_loss(fpr_fnr, s, f):
    """d/df of the surrogate loss is that of squared loss to the corrected label."""
    fpr, fnr = fpr_fnr
    d = 1 - fpr - fnr
    slope_1, slope_0 = 2 * (f - 1), 2 * f
    surrogate = (
        ((1 - fpr) * slope_1 - fnr * slope_0) / d
        if s
        else ((1 - fnr) * slope_0 - fpr * slope_1) / d
    )
    target = correct_labels(np.array([float(s)]), fpr_fnr)[0]
    assert surrogate == pytest.approx(2 * (f - target), rel=1e-9, abs=1e-9)


@given(rates, st.booleans(), st.floats(0.05, 1), unit, unit)
def test_dr_is_unbiased_if_either_nuisance_is_right(fpr_fnr, r, e, wrong_e, m):
    """Over selection and flips: any m with the true e; any e with m = r."""
    wrong_e = 0.05 + 0.95 * wrong_e

    def mean_target(propensity_used, imputation):
        def rated(s):
            return RECIPES["dr"](
                np.array([s]),
                np.array([True]),
                np.array([propensity_used]),
                np.array([imputation]),
                fpr_fnr,
            )[0][0]

        return e * mean_over_flips(rated, r, fpr_fnr) + (1 - e) * imputation

    assert mean_target(e, m) == pytest.approx(float(r), abs=1e-9)
    assert mean_target(wrong_e, float(r)) == pytest.approx(float(r), abs=1e-9)


@given(rates, st.booleans(), st.floats(0.05, 1))
def test_ips_is_unbiased_with_the_true_propensity(fpr_fnr, r, e):
    def rated(s):
        target, weight = RECIPES["ips"](
            np.array([s]), np.array([True]), np.array([e]), None, fpr_fnr
        )
        return target[0] * weight[0]

    assert e * mean_over_flips(rated, r, fpr_fnr) == pytest.approx(float(r), abs=1e-9)


@pytest.mark.parametrize("method", sorted(RECIPES))
def test_rows_that_take_no_part_have_weight_zero_and_no_target(method):
    s = np.array([1.0, 0.0, np.nan])
    o = np.array([True, True, False])
    target, weight = RECIPES[method](s, o, np.full(3, 0.5), np.full(3, 0.4), (0.1, 0.2))
    if method in ("dr", "selection"):
        assert weight.tolist() == [1, 1, 1]
        assert target[2] == 0.4
    else:
        assert weight[2] == 0
        assert np.isnan(target[2])
        assert (weight[:2] > 0).all()
    assert np.isfinite(target[weight > 0]).all()


def test_snips_weights_have_mean_one_over_rated_rows():
    o = np.array([True, True, False, True])
    e = np.array([0.1, 0.5, 0.3, 0.9])
    _, weight = RECIPES["snips"](np.ones(4), o, e, None, (0.0, 0.0))
    assert weight[o].mean() == pytest.approx(1)


def test_every_recipe_says_what_it_needs():
    assert set(NEEDS) == set(RECIPES)


@pytest.mark.parametrize("bad", [(0.6, 0.4), (-0.1, 0.2), (0.1, 1.0), (float("nan"), 0.1)])
def test_impossible_rates(bad):
    with pytest.raises(InvalidInputError):
        correct_labels([0, 1], bad)


def test_a_rate_of_one_is_refused_by_name():
    with pytest.raises(InvalidInputError, match=r"false_negative_rate is 1.0, but .* in \[0, 1\)"):
        correct_labels([0, 1], (0.0, 1.0))


def test_corrected_labels_are_float64():
    corrected = correct_labels(np.array([0, 1], dtype=np.float32), (0.1, 0.2))
    assert corrected.dtype == np.float64
    np.testing.assert_allclose(corrected, [-1 / 7, 9 / 7], rtol=1e-15)


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=30), st.floats(0.1, 10))
def test_effective_sample_size_is_scale_free_and_at_most_n(weights, scale):
    ess = effective_sample_size(weights)
    assert 1 - 1e-9 <= ess <= len(weights) * (1 + 1e-9)
    assert effective_sample_size(np.multiply(weights, scale)) == pytest.approx(ess)
