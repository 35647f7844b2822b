"""Thresholds with a stated risk: exact where the theory says so, and honest where there is none."""

import warnings

import numpy as np
import pytest
from scipy.stats import binom

from skcausalrm import CausalRewardRegressor, SelectionModel
from skcausalrm.datasets import make_observational_feedback
from skcausalrm.exceptions import (
    FeedbackError,
    InvalidInputError,
    SkcausalrmWarning,
    ThresholdError,
)
from skcausalrm.inference import threshold_for


class Known:
    """A reward that is its only column."""

    def predict(self, X):
        return np.asarray(X)[:, 0]


def draw(rng, n=300, verified=300):
    """Return rewards that are right, and the labels of some rows."""
    reward = rng.random(n)
    label = (rng.random(n) < reward).astype(float)
    return reward[:, None], np.where(np.arange(n) < verified, label, np.nan)


def test_the_lowest_threshold_that_the_binomial_tail_certifies():
    X, verified = draw(np.random.default_rng(0))
    found = threshold_for(Known(), X, verified=verified, max_bad=0.3)
    accepted = found.accepts(X[:, 0])
    bad = 1 - verified[accepted]
    assert found.threshold == X[accepted, 0].min()
    assert (found.n_verified, found.n_accepted, found.n_bad) == (300, len(bad), bad.sum())
    assert found.accepted_share == pytest.approx(accepted.mean())
    assert binom.cdf(bad.sum(), len(bad), 0.3) <= 0.1
    assert binom.cdf(bad.sum(), len(bad), found.bad_bound) == pytest.approx(0.1)
    assert found.bad_bound <= 0.3
    surer = threshold_for(Known(), X, verified=verified, max_bad=0.3, confidence=0.99)
    assert surer.threshold > found.threshold
    assert type(found)(**found.as_dict()) == found


def test_rows_of_equal_reward_are_accepted_together():
    X, verified = draw(np.random.default_rng(1))
    X = np.round(X, 1)
    found = threshold_for(Known(), X, verified=verified, max_bad=0.3)
    assert found.n_accepted == (X[:, 0] >= found.threshold).sum()


@pytest.mark.parametrize("picked", [False, True])
def test_the_risk_is_exceeded_in_few_draws(picked):
    """Rewards are too high by chance, and the truth is known: at most one draw in ten."""
    rng = np.random.default_rng(2)
    reward = rng.random(4000)
    good = reward**2  # the model promises too much
    chance = np.where(reward > 0.6, 0.06, 0.02) if picked else np.full(4000, 0.04)
    over, found = 0, 0
    for _ in range(200):
        label = (rng.random(4000) < good).astype(float)
        verified = np.where(rng.random(4000) < chance, label, np.nan)
        given = {"verified_propensity": chance} if picked else {}
        try:
            threshold = threshold_for(
                Known(), reward[:, None], verified=verified, max_bad=0.25, **given
            )
        except ThresholdError:
            continue
        found += 1
        over += 1 - good[threshold.accepts(reward)].mean() > 0.25
    assert found > 80
    assert over <= 25  # 20 expected at most, by chance 25 in one test of 10


def test_rows_that_nobody_judged_count_by_their_propensity():
    """Judged rows of one propensity say little of accepted rows that were hardly ever drawn."""
    reward, rows = np.full(2000, 0.9), np.arange(2000)
    verified = np.where(rows < 200, 1.0, np.nan)
    for rest, certain in ((0.1, True), (0.001, False)):
        chance = np.where(rows < 1000, 0.1, rest)
        given = {"verified": verified, "verified_propensity": chance}
        if certain:
            assert threshold_for(Known(), reward[:, None], **given).n_accepted == 200
        else:
            with pytest.raises(ThresholdError, match=r"2000 rows .* up to a factor of 100:"):
                threshold_for(Known(), reward[:, None], **given)
    # A bound by the martingale is the one that was asked for.
    chance = np.where(rows < 1000, 0.1, 0.09)
    found = threshold_for(
        Known(), reward[:, None], verified=verified, verified_propensity=chance, max_bad=0.2
    )
    assert found.bad_bound == 0.2


def test_a_model_that_ranks_backwards_has_no_threshold():
    X, verified = draw(np.random.default_rng(3))
    with pytest.raises(ThresholdError, match=r"at most 10% bad answers with confidence 90%: of"):
        threshold_for(Known(), 1 - X, verified=verified)
    with pytest.raises(ThresholdError, match="20 rows are verified, and even without a bad one"):
        threshold_for(Known(), X, verified=np.where(np.arange(300) < 20, 1.0, np.nan))


def test_rows_that_the_model_was_fitted_on_are_judged_out_of_fold():
    log = make_observational_feedback(
        1200, 8, base_rate=0.8, signal="strong", n_verified=300, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkcausalrmWarning)
        reward = CausalRewardRegressor(SelectionModel(random_state=0), random_state=0)
        model = reward.fit(log.X, log.y).nuisances_.selection_model
        settled = SelectionModel(random_state=0).fit(log.X, log.y, verified=log.verified)
    found = threshold_for(model, log.X, log.y, verified=log.verified)
    assert found.threshold in model.oof_probability_
    assert threshold_for(reward, log.X, log.y, verified=log.verified) == found
    own = threshold_for(model, log.X, verified=log.verified)
    assert own.threshold in model.predict_proba(log.X)[:, 1]
    with pytest.raises(FeedbackError, match="they would count twice"):
        threshold_for(settled, log.X, log.y, verified=log.verified)


def test_bad_input():
    X, verified = draw(np.random.default_rng(4))
    with pytest.raises(InvalidInputError, match="max_bad is 0, but must lie between"):
        threshold_for(Known(), X, verified=verified, max_bad=0)
    with pytest.raises(InvalidInputError, match="confidence is 95"):
        threshold_for(Known(), X, verified=verified, confidence=95)
    with pytest.raises(FeedbackError, match="None of the 300 rows is verified"):
        threshold_for(Known(), X, verified=np.full(300, np.nan))
    with pytest.raises(InvalidInputError, match=r"^verified_propensity lies outside"):
        threshold_for(Known(), X, verified=verified, verified_propensity=np.zeros(300))
    with pytest.raises(FeedbackError, match=r"^verified_propensity is NaN or infinite in 300 of"):
        threshold_for(Known(), X, verified=verified, verified_propensity=np.full(300, np.nan))
