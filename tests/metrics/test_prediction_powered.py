import numpy as np
import pytest

from skcausalrm.exceptions import FeedbackError, InvalidInputError
from skcausalrm.metrics import (
    debiased_mse,
    debiased_r2_score,
    debiased_roc_auc_score,
    prediction_powered,
)


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    p = rng.uniform(0.05, 0.95, 4000)
    r = (rng.random(4000) < p).astype(float)
    verified = np.full(4000, np.nan)
    verified[:200] = r[:200]
    return p, r, verified


def test_a_mean_is_that_of_z_plus_its_mean_error(rows):
    p, r, verified = rows
    z, w = 0.3 * p, np.linspace(0.5, 2, 4000)
    error = np.average((r - z)[:200], weights=w[:200])
    powered = prediction_powered(z, verified, sample_weight=w)
    assert np.average(powered, weights=w) == pytest.approx(np.average(z, weights=w) + error)
    np.testing.assert_array_equal(powered[200:], z[200:])
    draws = prediction_powered(np.column_stack([z, p]), verified, sample_weight=w)
    np.testing.assert_allclose(draws[:, 0], powered)
    np.testing.assert_allclose(draws[:, 1], prediction_powered(p, verified, sample_weight=w))


@pytest.mark.parametrize("score", [debiased_mse, debiased_r2_score, debiased_roc_auc_score])
def test_wrong_z_costs_precision_not_truth(score):
    off = {"wrong": [], "right": []}
    stds = {"wrong": [], "right": []}
    for seed in range(40):
        rng = np.random.default_rng(seed)
        p = rng.uniform(0.05, 0.95, 2000)
        r = (rng.random(2000) < p).astype(float)
        verified = np.where(rng.random(2000) < 0.1, r, np.nan)
        for kind, z in (
            ("wrong", 0.9 - 0.8 * p),
            ("right", np.where(rng.random(2000) < 0.9, r, p)),
        ):
            value, std = score(prediction_powered(z, verified), p, return_std=True)
            off[kind].append(abs(value - score(r, p)) < 2 * std)
            stds[kind].append(std)
    assert min(map(sum, off.values())) >= 34
    assert np.mean(stds["right"]) < 0.7 * np.mean(stds["wrong"])


def test_bad_input(rows):
    p, _, verified = rows
    with pytest.raises(FeedbackError, match="None of the 4000 rows is verified"):
        prediction_powered(p, np.full(4000, np.nan))
    with pytest.raises(FeedbackError, match="other than 0, 1 and NaN"):
        prediction_powered(p, verified * 2)
    with pytest.raises(InvalidInputError, match="z is NaN"):
        prediction_powered(np.where(p < 0.5, np.nan, p), verified)
