"""Flip rates of a known curve: levels, standard errors, and which warning is due."""

import warnings

import numpy as np
import pytest

from skcausalrm.exceptions import AssumptionWarning
from skcausalrm.model_selection._cross_fitting import Folds
from skcausalrm.nuisances._flip_rates import anchor_rates, sigmoid_rates
from skcausalrm.nuisances._probability import NoisySigmoid


def test_levels_and_their_standard_errors_by_hand():
    """Rates 0.1 and 0.2 have phi log(1/4) and log(2/3), slopes 0.1 * 0.8 and 0.2 * 0.6."""
    theta = np.array([1.0, 0.0, np.log(1 / 4), np.log(2 / 3)])
    rates, stds = sigmoid_rates(NoisySigmoid(theta, 0.0, 1.0, np.diag([9.0, 9.0, 0.25, 0.04])))
    np.testing.assert_allclose(rates, [0.1, 0.2])
    np.testing.assert_allclose(stds, [0.08 * 0.5, 0.12 * 0.2])


@pytest.mark.parametrize(
    ("reach", "phi_variance", "due"),
    [(6.0, 0.0, None), (6.0, 4.0, "few rows"), (2.0, 0.0, "not levelled off")],
)
def test_anchors_are_doubted_if_uncertain_or_still_rising(reach, phi_variance, due):
    """Scores that reach 6 lie on the levels, .1 and .9, of the curve; at 2 it still rises."""
    n = 12_000
    scores = np.tile(np.linspace(-reach, reach, n // 3), 3)
    phi = np.log(1 / 4)
    covariance = np.diag([0, 0, phi_variance, phi_variance])
    curve = NoisySigmoid(np.array([1.0, 0.0, phi, phi]), 0.0, 1.0, covariance)
    folds = Folds(np.repeat(np.arange(3), n // 3), 3, np.arange(n))
    rng = np.random.RandomState(0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        rates, stds, absent = anchor_rates(curve, scores, folds, None, rng, 0.03, (None, None))
    at = 1 / (1 + np.exp(reach * (1 - 2 * 0.03)))
    np.testing.assert_allclose(rates, 0.1 + 0.8 * at, atol=1e-3)
    assert (stds > 0.1).all() == (phi_variance > 0)
    assert len(caught) == (0 if due is None else 2)
    assert absent == (due is not None,) * 2
    for one, name in zip(caught, ("false_positive_rate", "false_negative_rate"), strict=False):
        assert one.category is AssumptionWarning
        assert str(one.message).startswith(f"The {name} from the")
        assert due in str(one.message)
