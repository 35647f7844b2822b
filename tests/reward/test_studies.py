"""Whole studies on simulated logs: real pseudo-outcomes, real estimators, known truth."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.model_selection import GridSearchCV, GroupKFold, ParameterGrid, cross_validate
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skcausalrm import (
    CausalRewardRegressor,
    DoublyRobust,
    InversePropensity,
    NoiseOnly,
    NoiseTransitionEstimator,
)
from skcausalrm.datasets import make_observational_feedback
from skcausalrm.exceptions import InvalidInputError
from skcausalrm.metrics import debiased_r2_score, make_debiased_scorer, pseudo_outcomes
from skcausalrm.metrics._metric import METRICS

KNOWN_RATES = NoiseTransitionEstimator(false_positive_rate=0.1, false_negative_rate=0.2)
GRID = {
    "reward__method": [
        "naive",
        NoiseOnly(noise_estimator=KNOWN_RATES),
        InversePropensity(noise_estimator=KNOWN_RATES),
        DoublyRobust(noise_estimator=KNOWN_RATES),
    ]
}

pytestmark = [
    pytest.mark.filterwarnings(f"ignore::skcausalrm.exceptions.{name}Warning")
    for name in ("Overlap", "Assumption", "BaseRateUncertain")
]


def pipeline():
    return Pipeline(
        [("scale", StandardScaler()), ("reward", CausalRewardRegressor(random_state=0))]
    )


@pytest.fixture(scope="module")
def study():
    log = make_observational_feedback(
        30_000,
        16,
        signal="strong",
        selection="x",
        selection_strength=0.3,
        base_rate=0.7,
        n_groups=7500,
        random_state=1,
    )
    y = pd.Series(log.y)
    z = pseudo_outcomes(
        log.X,
        y,
        groups=log.groups,
        propensity=log.propensity,
        method=DoublyRobust(noise_estimator=KNOWN_RATES),
        random_state=0,
    )
    return log, y, pd.Series(z)


@pytest.fixture(scope="module")
def series_search(study):
    log, y, z = study
    search = GridSearchCV(
        pipeline(),
        GRID,
        scoring={k: make_debiased_scorer(k, pseudo_outcomes=z) for k in ("r2", "mse")},
        refit="r2",
        cv=GroupKFold(3),
        error_score="raise",
    )
    return search.fit(log.X, y, groups=log.groups, reward__groups=log.groups)


def test_search_ranks_methods_as_clean_labels_do(study, series_search):
    log, _, _ = study
    clean = cross_validate_on_clean_labels(log)
    found = series_search.cv_results_["mean_test_r2"]
    assert found == pytest.approx(clean, abs=0.08)  # its standard error is .03
    assert found.argmax() == clean.argmax() > 1
    assert found.argmin() == clean.argmin() == 0


def cross_validate_on_clean_labels(log):
    scores = []
    for candidate in ParameterGrid(GRID):
        model = pipeline().set_params(**candidate)
        folds = []
        for train, test in GroupKFold(3).split(log.X, groups=log.groups):
            model.fit(log.X[train], log.y[train], reward__groups=log.groups[train])
            folds.append(debiased_r2_score(log.reward[test], model.predict(log.X[test])))
        scores.append(np.mean(folds))
    return np.array(scores)


def test_routing_gives_the_same_study(study, series_search):
    log, y, z = study
    with sklearn.config_context(enable_metadata_routing=True):
        search = GridSearchCV(
            pipeline(),
            GRID,
            scoring={k: make_debiased_scorer(k) for k in ("r2", "mse")},
            refit="r2",
            cv=GroupKFold(3),
            n_jobs=2,
            error_score="raise",
        ).fit(log.X, y, groups=log.groups, pseudo_outcomes=z)
    for name in ("mean_test_r2", "mean_test_mse"):
        assert search.cv_results_[name] == pytest.approx(series_search.cv_results_[name], abs=1e-6)
    assert search.best_params_ == series_search.best_params_


def test_groups_given_to_the_splitter_alone_do_not_reach_the_estimator(study):
    log, y, z = study
    search = GridSearchCV(
        pipeline(),
        {"reward__method": ["dr"]},
        scoring=make_debiased_scorer("r2", pseudo_outcomes=z),
        cv=GroupKFold(2),
    )
    search.fit(log.X, y, groups=log.groups)
    assert search.best_estimator_["reward"].group_hashes_ is None
    search.fit(log.X, y, groups=log.groups, reward__groups=log.groups)
    assert len(search.best_estimator_["reward"].group_hashes_) == len(np.unique(log.groups))


def test_z_cross_fitted_within_the_held_out_rows(study):
    # Flip rates are found from anchors here, so only the order of candidates can be expected.
    log, y, _ = study
    with sklearn.config_context(enable_metadata_routing=True):
        scores = [
            cross_validate(
                pipeline().set_params(reward__method=method),
                log.X,
                y,
                scoring=make_debiased_scorer("r2"),
                cv=GroupKFold(2),
                params={"groups": log.groups},
                error_score="raise",
            )["test_score"].mean()
            for method in ("naive", "dr")
        ]
    assert scores[1] > scores[0]


def test_within_two_standard_errors_of_the_truth():
    hits = dict.fromkeys(METRICS, 0)
    for seed in range(20):
        log = make_observational_feedback(
            16_000, 16, selection="x", signal="strong", n_groups=4000, random_state=seed
        )
        train = log.groups < 1000
        test = ~train
        model = CausalRewardRegressor(DoublyRobust(noise_estimator=KNOWN_RATES), random_state=seed)
        model.fit(log.X[train], log.y[train], groups=log.groups[train])
        # A head that is sure and wrong gives log loss too heavy a tail for a normal interval.
        f, groups = model.predict(log.X[test]).clip(0.02, 0.98), log.groups[test]
        z = pseudo_outcomes(
            log.X[test],
            log.y[test],
            groups=groups,
            method=DoublyRobust(noise_estimator=KNOWN_RATES),
            random_state=seed,
        )
        for name, score in METRICS.items():
            value, std = score(z, f, groups=groups, return_std=True)
            truth = score(log.reward[test], f, groups=groups)
            hits[name] += abs(value - truth) < 2 * std
    assert min(hits.values()) >= 17, hits


@pytest.fixture(scope="module")
def log():
    return make_observational_feedback(3000, 8, signal="strong", random_state=0)


class TestDraws:
    def test_other_flip_rates_move_z_as_a_fit_with_them_does(self, log):
        """What each draw relies on: z is linear in the corrected label, m included."""

        def z_of(f, g):
            noise = NoiseTransitionEstimator(false_positive_rate=f, false_negative_rate=g)
            method = DoublyRobust(noise_estimator=noise)
            return pseudo_outcomes(log.X, log.y, method=method, random_state=0)

        moved = (0.7 * z_of(0.1, 0.2) + (0.1 - 0.05)) / 0.65
        np.testing.assert_allclose(z_of(0.05, 0.3), moved, atol=1e-4)

    @pytest.mark.parametrize("method", ["dr", "ips", "snips"])
    def test_estimated_flips_are_redrawn(self, log, method):
        z = pseudo_outcomes(log.X, log.y, method=method, random_state=0)
        draws = pseudo_outcomes(log.X, log.y, method=method, n_draws=40, random_state=0)
        assert (draws.std(axis=1)[~np.isnan(log.y)] > 0).all()
        assert draws.mean() == pytest.approx(z.mean(), abs=3 * draws.mean(axis=0).std())
        if method != "dr":
            assert (draws[np.isnan(log.y)] == 0).all()

    def test_known_flips_leave_nothing_open(self, log):
        known = DoublyRobust(noise_estimator=KNOWN_RATES)
        z = pseudo_outcomes(log.X, log.y, method=known, random_state=0)
        draws = pseudo_outcomes(log.X, log.y, method=known, n_draws=3, random_state=0)
        np.testing.assert_allclose(draws, np.repeat(z[:, None], 3, axis=1))

    def test_an_open_level_is_open(self, log):
        z = pseudo_outcomes(log.X, log.y, method="selection", n_draws=30, random_state=0)
        assert z.shape == (3000, 30)
        assert z.mean(axis=0).std() > 0.03

    @pytest.mark.parametrize("n_draws", [0, 2.5, "all"])
    def test_number_of_draws(self, log, n_draws):
        with pytest.raises(InvalidInputError, match="n_draws is"):
            pseudo_outcomes(log.X, log.y, n_draws=n_draws)
