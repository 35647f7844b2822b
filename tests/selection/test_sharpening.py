"""What signals teach of the first linear predictor, and what they must not teach."""

import warnings
from unittest.mock import patch

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from skcausalrm import SelectionModel
from skcausalrm.datasets import make_observational_feedback
from skcausalrm.exceptions import SkcausalrmWarning
from skcausalrm.selection._sharpening import sharpen


def fitted(log, signals, *, X=None, y=None, **given):
    """Return a model, and its out-of-fold predictors before signals had their say."""
    before = []

    def recorded(predictors, *arguments):
        before.append(predictors.z)
        return sharpen(predictors, *arguments)

    X, y = (log.X if X is None else X), (log.y if y is None else y)
    with warnings.catch_warnings(), patch("skcausalrm.selection._inputs.sharpen", recorded):
        warnings.simplefilter("ignore", SkcausalrmWarning)
        model = SelectionModel(random_state=0).fit(X, y, signals=signals, **given)
    return model, before[0]


def auroc(log, z):
    return roc_auc_score(log.reward, z[:, 0])


@pytest.fixture(scope="module")
def log():
    """Return a log of few ratings, mostly of good answers, where signals tell more than thumbs."""
    return make_observational_feedback(
        6000,
        16,
        base_rate=0.7,
        selection="reward",
        selection_strength=0.2,
        observed_rate=0.05,
        n_users=600,
        signals=("copied", "regenerated"),
        random_state=3,
    )


def test_signals_rank_what_thumbs_cannot(log):
    sharp, before = fitted(log, log.signals)
    z = sharp.oof_linear_predictors_
    assert auroc(log, z) > auroc(log, before) + 0.02
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(z.var(axis=0), 1)
    # New rows get the mean of the folds' models, stretched to the same spread.
    new = sharp.head_.linear_predictors(log.X)
    assert np.corrcoef(new[:, 0], z[:, 0])[0, 1] > 0.9
    assert (sharp.predictor_slope_ >= 1).all()
    assert auroc(log, new) > auroc(log, before) + 0.02


def test_signals_of_noise_teach_nothing(log):
    noise = log.signals.apply(np.random.default_rng(0).permutation)
    sharp, before = fitted(log, noise)
    assert auroc(log, sharp.oof_linear_predictors_) > auroc(log, before) - 0.005


@pytest.mark.parametrize("strength", [0.5, 2.0])
def test_topics_that_move_signals_are_not_taken_for_quality(log, strength):
    """Each signal follows a direction of x of its own, whatever the answer is worth."""
    rng = np.random.default_rng(7)
    moved = log.signals.copy()
    for name in moved:
        topic = strength * log.X @ rng.standard_normal(log.X.shape[1]) / np.sqrt(log.X.shape[1])
        for reward in (0, 1):
            rows = log.reward == reward
            share = moved.loc[rows, name].mean()
            rate = expit(np.log(share / (1 - share)) + topic[rows])
            moved.loc[rows, name] = (rng.random(rows.sum()) < rate).astype(float)
    sharp, before = fitted(log, moved)
    assert auroc(log, sharp.oof_linear_predictors_) > auroc(log, before) - 0.005


def test_rows_without_weight_decide_nothing(log):
    """They may lie far out, where a step is long, and are not fitted on."""
    rng = np.random.default_rng(1)
    few = np.arange(2000)
    X = np.vstack([log.X[few], 30 * rng.standard_normal((200, log.X.shape[1]))])
    y = np.append(log.y[few], np.where(rng.random(200) < 0.5, np.nan, 1.0))
    signals = {n: np.append(log.signals[n][few], rng.integers(0, 2, 200)) for n in log.signals}
    weight = np.append(np.ones(2000), np.zeros(200))
    model, before = fitted(log, signals, X=X, y=y, sample_weight=weight)
    z, before = model.oof_linear_predictors_[:2000, 0], before[:2000, 0]
    assert np.corrcoef(z, before)[0, 1] < 0.99
    assert roc_auc_score(log.reward[few], z) > roc_auc_score(log.reward[few], before)


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.SkcausalrmWarning")
def test_a_log_that_is_rated_throughout(log):
    rows = slice(0, 1000)
    model = SelectionModel(random_state=0).fit(
        log.X[rows], log.reward[rows], signals=log.signals[rows]
    )
    assert np.isfinite(model.oof_probability_).all()


def test_signals_stand_in_for_thumbs_that_are_all_up(log):
    """Where nothing is disliked, thumbs tell no first predictor, and signals alone do."""
    y = np.where(log.y == 1, 1.0, np.nan)
    model = SelectionModel(base_rate=0.7, random_state=0).fit(log.X, y, signals=log.signals)
    assert auroc(log, model.oof_linear_predictors_) > 0.6
    alone = SelectionModel(base_rate=0.7, random_state=0).fit(log.X, y)
    assert np.ptp(alone.oof_linear_predictors_[:, 0]) == 0
