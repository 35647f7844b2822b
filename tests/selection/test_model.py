"""SelectionModel: what goes in, what comes out, what is refused, and what it recovers."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from skcausalrm import CausalRewardRegressor, SelectionModel
from skcausalrm import exceptions as ex
from skcausalrm.datasets import make_observational_feedback
from skcausalrm.selection._parameters import DELTA, GAMMA, KAPPA

quiet = pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.SkcausalrmWarning")


@pytest.fixture(scope="module")
def log():
    return make_observational_feedback(
        3000,
        8,
        selection="reward",
        selection_strength=0.3,
        n_asked=300,
        n_verified=200,
        random_state=0,
    )


def fitted(log, y=None, *, asked=None, verified=None, sample_weight=None, groups=None, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ex.SkcausalrmWarning)
        return SelectionModel(random_state=0, **kwargs).fit(
            log.X,
            log.y if y is None else y,
            asked=asked,
            verified=verified,
            sample_weight=sample_weight,
            groups=groups,
        )


EXTRAS = {"none": (), "asked": ("asked",), "verified": ("verified",), "all": ("asked", "verified")}


@pytest.fixture(scope="module")
def models(log):
    return {
        name: fitted(log, **{column: log[column] for column in columns})
        for name, columns in EXTRAS.items()
    }


@pytest.mark.parametrize("extras", EXTRAS)
def test_what_comes_out(log, models, extras):
    model, n = models[extras], len(log.y)
    p = model.predict_proba(log.X)
    assert p.shape == (n, 2)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert ((p > 0) & (p < 1)).all()
    low, high = model.base_rate_interval_
    assert 0 < low < model.base_rate_ < high < 1
    assert low < log.probability.mean() < high
    assert model.base_rate_std_ > 0
    assert model.selection_log_odds_std_ > 0
    assert 0 < model.false_positive_rate_ < 0.5
    assert 0 < model.false_negative_rate_ < 0.5
    assert sum(model.link_weights_.values()) == pytest.approx(1)
    assert list(model.link_weights_) == [1.0, 0.3, 0.03]  # from the logit to the log-log
    assert model.oof_linear_predictors_.shape == (n, 2)
    assert model.predictor_slope_.shape == (2,)
    for name in ("oof_probability_", "oof_posterior_"):
        values = getattr(model, name)
        assert values.shape == (n,)
        assert ((values > 0) & (values < 1)).all()
    assert (model.recalibration_ is not None) == ("verified" in EXTRAS[extras])
    assert model.n_features_in_ == 8
    assert roc_auc_score(log.reward, p[:, 1]) > 0.75


def test_further_rows_narrow_the_level(log, models):
    std = {name: model.base_rate_std_ for name, model in models.items()}
    assert std["none"] > 0.4 > std["asked"]
    assert std["none"] > 2 * std["verified"]
    assert models["none"].base_rate_doubt_ > 0.2
    assert models["verified"].base_rate_doubt_ < 0.05
    truth = log.probability.mean()
    for name in ("verified", "all"):
        assert abs(models[name].predict_proba(log.X)[:, 1].mean() - truth) < 0.05


def test_posterior_of_new_rows_moves_with_their_feedback(log, models):
    model = models["verified"]
    X = log.X[:50]
    liked, disliked, unrated = (model.posterior(X, np.full(50, v)) for v in (1.0, 0.0, np.nan))
    assert (liked > unrated).all()
    assert (unrated > disliked).all()
    # Selection is on the reward here, so that a volunteered rating says more than one asked for.
    silent = model.posterior(X, np.full(50, np.nan), asked=np.ones(50, bool))
    assert (silent > unrated).all()
    with pytest.raises(ValueError, match="asked"):
        model.posterior(X, np.full(50, 1.0), asked=np.full(50, 2))


@pytest.mark.parametrize("extras", EXTRAS)
def test_good_for_bad_mirrors_the_solution(log, models, extras):
    columns = {name: log[name] for name in EXTRAS[extras]}
    if "verified" in columns:
        columns["verified"] = 1 - columns["verified"]
    model, mirror = models[extras], fitted(log, 1 - log.y, **columns)
    p, q = model.predict_proba(log.X), mirror.predict_proba(log.X)
    # The grid's cells hold their lower edges, so a mirrored grid differs by a row a cell.
    np.testing.assert_allclose(q[:, 0], p[:, 1], atol=0.03)
    assert mirror.base_rate_ == pytest.approx(1 - model.base_rate_, abs=0.02)
    assert mirror.selection_log_odds_ == pytest.approx(-model.selection_log_odds_, abs=0.05)
    assert mirror.false_positive_rate_ == pytest.approx(model.false_negative_rate_, abs=0.01)
    np.testing.assert_allclose(mirror.oof_posterior_, 1 - model.oof_posterior_, atol=0.03)


def test_asked_rows_alone_are_plain_noise_corrected_logistic_regression():
    log = make_observational_feedback(4000, 8, n_asked=1500, random_state=0)
    rates = 0.1, 0.2
    model = fitted(
        log,
        np.where(log.asked, log.y, np.nan),
        asked=log.asked,
        false_positive_rate=rates[0],
        false_negative_rate=rates[1],
    )
    assert np.isnan(model.selection_log_odds_)
    z, s = model.oof_linear_predictors_[:, 0], log.y[log.asked]
    assert not model.oof_linear_predictors_[:, 1].any()

    def loss(theta):
        p = expit(theta[0] + theta[1] * z[log.asked])
        liked = rates[0] + (1 - sum(rates)) * p
        return -np.log(np.where(s == 1, liked, 1 - liked)).sum()

    theta = minimize(loss, [0.0, 1.0]).x
    np.testing.assert_allclose(model.oof_probability_, expit(theta[0] + theta[1] * z), atol=0.02)
    assert model.base_rate_ == pytest.approx(expit(theta[0] + theta[1] * z).mean(), abs=0.01)


def verified_by(rule, log, n, rng):
    verified = np.full(len(log.y), np.nan)
    rows = {
        "liked": np.flatnonzero(log.y == 1),
        "unrated": np.flatnonzero(np.isnan(log.y)),
        "half disliked": np.flatnonzero(
            (log.y == 0) | (rng.random(len(log.y)) < np.mean(log.y == 0))
        ),
    }[rule]
    chosen = rng.choice(rows, n, replace=False)
    verified[chosen] = log.reward[chosen]
    return verified


@quiet
def test_turning_feedback_and_reward_about_turns_the_rewards():
    """Dislikes for likes: 1 - p for p, also where few rows are rated and the level is open."""
    few = make_observational_feedback(
        4500, 16, selection="both", observed_rate=0.05, base_rate=0.6, random_state=2
    )
    p, turned = (fitted(few, y).predict_proba(few.X)[:, 1] for y in (few.y, 1 - few.y))
    np.testing.assert_allclose(1 - turned, p, atol=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["liked", "unrated", "half disliked"])
def test_rows_checked_by_what_was_said_bias_the_base_rate_by_less_than_its_error(rule):
    errors = []
    for seed in range(4):
        log = make_observational_feedback(
            4000, 8, selection="reward", base_rate=0.3 + 0.1 * seed, random_state=seed
        )
        verified = verified_by(rule, log, 100, np.random.default_rng(seed))
        model = fitted(log, verified=verified)
        error = logit(model.base_rate_) - logit(log.probability.mean())
        errors.append(error / model.base_rate_std_)
    assert np.abs(errors).max() < 3
    assert np.sqrt(np.mean(np.square(errors))) < 1.6
    assert abs(np.mean(errors)) < 1


CLICKS = {"likes": 1.0, "dislikes": 0.0}


@pytest.mark.parametrize("kind", CLICKS)
def test_one_kind_of_feedback_needs_something_more(log, kind):
    said = np.where(log.y == CLICKS[kind], log.y, np.nan)
    said_it = f"of one class, {CLICKS[kind]:.0f}, .* verified rows"
    with pytest.raises(ex.FeedbackError, match=said_it):
        fitted(log, said)
    silent = log.asked & ~np.isnan(said)
    with pytest.raises(ex.FeedbackError):  # asked, but nobody answered
        fitted(log, np.where(log.asked, np.nan, said), asked=log.asked & ~silent)


@pytest.mark.parametrize("kind", CLICKS)
@pytest.mark.parametrize("known", ["asked", "verified", "base_rate"])
def test_one_kind_of_feedback_with_something_more(log, kind, known):
    said = np.where(log.y == CLICKS[kind], log.y, np.nan)
    if known == "asked":
        model = fitted(log, np.where(log.asked, log.y, said), asked=log.asked)
    elif known == "verified":
        model = fitted(log, said, verified=log.verified)
    else:
        model = fitted(log, said, base_rate=0.5)
    low, high = model.base_rate_interval_
    assert low < log.probability.mean() < high
    assert roc_auc_score(log.reward, model.predict_proba(log.X)[:, 1]) > 0.7


@pytest.mark.parametrize("selection", ["none", "complain"])
def test_complaints_alone_are_the_mirror_image_of_clicks(selection):
    log = make_observational_feedback(3000, 8, selection=selection, random_state=0)
    clicks = np.where(log.y == 1, 1.0, np.nan)
    p, q = (fitted(log, y, base_rate=0.5).predict_proba(log.X) for y in (clicks, 1 - clicks))
    np.testing.assert_allclose(q[:, 0], p[:, 1], atol=0.01)


def test_all_rated(log):
    complete = np.where(np.isnan(log.y), log.reward, log.y)
    with pytest.warns(ex.AssumptionWarning, match="All 3000 rows"):
        model = SelectionModel(random_state=0).fit(log.X, complete)
    assert np.isnan(model.selection_log_odds_)
    assert list(model.link_weights_) == [1.0]
    assert roc_auc_score(log.reward, model.predict_proba(log.X)[:, 1]) > 0.75


class TestKnown:
    @pytest.mark.parametrize("rate", [0.2, 0.7])
    def test_base_rate(self, log, rate):
        model = fitted(log, base_rate=rate)
        assert model.base_rate_ == pytest.approx(rate, abs=0.01)
        assert model.base_rate_std_ == pytest.approx(0.05, abs=0.01)
        assert model.predict_proba(log.X)[:, 1].mean() == pytest.approx(rate, abs=0.02)

    def test_a_base_rate_out_of_reach_is_said(self):
        log = make_observational_feedback(4000, 16, selection="none", random_state=0)
        with pytest.warns(ex.BaseRateUncertainWarning, match=r"0\.95"):
            model = SelectionModel(base_rate=0.95, random_state=0).fit(log.X, log.y)
        assert 0.85 < model.base_rate_ < 0.95

    def test_believed_base_rate_gives_way_to_the_log(self, log, models):
        sure, unsure = (fitted(log, base_rate=(0.8, sd), verified=log.verified) for sd in (0.02, 1))
        assert sure.base_rate_ == pytest.approx(0.8, abs=0.04)
        assert unsure.base_rate_ == pytest.approx(models["verified"].base_rate_, abs=0.03)

    def test_flip_rates(self, log):
        model = fitted(log, false_positive_rate=0.1, false_negative_rate=0.2)
        assert model.false_positive_rate_ == pytest.approx(0.1)
        assert model.false_negative_rate_ == pytest.approx(0.2)

    @pytest.mark.parametrize("log_odds", [-1.5, 0, 2.5])
    def test_selection_log_odds(self, log, log_odds):
        model = fitted(log, selection_log_odds=log_odds)
        assert model.selection_log_odds_ == pytest.approx(log_odds, abs=1e-12)
        assert model.selection_log_odds_std_ == pytest.approx(0, abs=1e-6)
        theta = np.array([node.theta for node in model.row_posterior_.mixture.nodes])
        assert (theta[:, GAMMA] == log_odds).all()
        assert not theta[:, DELTA].any()
        assert theta[:, KAPPA].any() == (log_odds != 0)

    def test_verified_error_rate(self, log):
        """Labels of which a tenth is wrong: the rate says so, and the reward is less shrunk."""
        rng = np.random.default_rng(0)
        everyone = np.where(rng.random(3000) < 0.2, 1 - log.reward, log.reward)
        gaps = [
            np.mean(
                (
                    fitted(log, verified=everyone, verified_error_rate=rate).predict_proba(log.X)[
                        :, 1
                    ]
                    - log.probability
                )
                ** 2
            )
            for rate in (0, 0.2)
        ]
        assert gaps[1] < 0.7 * gaps[0]


class TestContract:
    def test_clone_pickle_and_set_params(self, log, models):
        model = models["all"]
        again = pickle.loads(pickle.dumps(model))
        np.testing.assert_array_equal(again.predict_proba(log.X), model.predict_proba(log.X))
        np.testing.assert_array_equal(
            again.posterior(log.X, log.y, asked=log.asked),
            model.posterior(log.X, log.y, asked=log.asked),
        )
        fresh = clone(model).set_params(likelihood_power=0.5, base_rate=(0.4, 0.1))
        assert fresh.get_params()["base_rate"] == (0.4, 0.1)
        assert not hasattr(fresh, "base_rate_")

    def test_same_seed_same_model_with_one_worker_or_two(self, log, models):
        two = fitted(log, n_jobs=2)
        np.testing.assert_array_equal(two.predict_proba(log.X), models["none"].predict_proba(log.X))

    def test_names_and_series(self, log, models):
        frame = pd.DataFrame(log.X, columns=[f"x{i}" for i in range(8)])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = SelectionModel(random_state=0).fit(
                frame, pd.Series(log.y), verified=pd.Series(log.verified)
            )
        assert model.feature_names_in_.tolist() == list(frame.columns)
        found = model.predict_proba(frame)
        # Columns lie one after the other in a frame, so sums may round otherwise than by rows.
        by_columns = type(log)(X=frame.to_numpy(), y=log.y)
        same = fitted(by_columns, verified=log.verified).predict_proba(by_columns.X)
        np.testing.assert_array_equal(found, same)
        by_rows = models["verified"].predict_proba(log.X)
        np.testing.assert_allclose(found, by_rows, atol=1e-5)

    def test_float32_and_float64_agree(self, log):
        """Given the folds, which are drawn by what rows are equal, bit for bit."""
        assert log.X.dtype == np.float32
        single, double = (
            fitted(
                type(log)(X=log.X.astype(dtype), y=log.y),
                verified=log.verified,
                cv=splits(np.arange(3000) % 4),
            ).predict_proba(log.X)
            for dtype in (np.float32, np.float64)
        )
        np.testing.assert_allclose(single, double, atol=0.02)

    def test_input_is_left_alone(self, log):
        before = {name: np.copy(log[name]) for name in ("X", "y", "asked", "verified")}
        fitted(log, asked=log.asked, verified=log.verified)
        for name, values in before.items():
            np.testing.assert_array_equal(log[name], values)

    def test_wrong_width(self, models):
        with pytest.raises(ValueError, match="8 features"):
            models["none"].predict_proba(np.ones((2, 3)))


def splits(fold):
    return [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(4)]


def test_weights_count_as_so_many_rows(log):
    rng = np.random.default_rng(0)
    weight, fold = rng.integers(0, 4, len(log.y)), np.arange(len(log.y)) % 4
    weighted = fitted(log, sample_weight=weight, verified=log.verified, cv=splits(fold))
    rows = np.repeat(np.arange(len(log.y)), weight)
    repeated = fitted(
        type(log)(X=log.X[rows], y=log.y[rows]),
        verified=log.verified[rows],
        cv=splits(fold[rows]),
    )
    expected = repeated.predict_proba(log.X)
    np.testing.assert_allclose(weighted.predict_proba(log.X), expected, atol=0.02)
    assert weighted.base_rate_ == pytest.approx(repeated.base_rate_, abs=0.01)
    assert weighted.base_rate_std_ == pytest.approx(repeated.base_rate_std_, rel=0.1)


def test_rows_of_weight_0_do_not_matter(log):
    weight = (np.arange(len(log.y)) < 2500).astype(float)
    turned = np.where(weight > 0, log.y, 1.0)
    # Folds that an int asks for are stratified by feedback, so they would differ.
    cv = splits(np.arange(len(log.y)) % 4)
    models = [fitted(log, y, sample_weight=weight, cv=cv) for y in (log.y, turned)]
    p, q = (model.predict_proba(log.X)[:, 1] for model in models)
    np.testing.assert_allclose(p, q, atol=1e-6)
    assert models[0].base_rate_ == pytest.approx(models[1].base_rate_, abs=1e-6)


def test_equal_rows_share_a_fold_and_groups_are_kept_together(log, models):
    rows = np.repeat(np.arange(1000), 2)
    twice = type(log)(X=log.X[rows], y=log.y[rows])
    z = fitted(twice).oof_linear_predictors_
    np.testing.assert_array_equal(z[::2], z[1::2])
    groups = np.arange(3000) // 3
    with pytest.raises(ex.GroupsError, match="cv splits"):
        fitted(log, groups=groups, cv=splits(np.arange(3000) % 4))
    model = fitted(log, groups=groups)
    assert not np.array_equal(model.oof_linear_predictors_, models["none"].oof_linear_predictors_)


class TestRouting:
    @pytest.mark.parametrize(
        ("name", "last"),
        [
            ("selection", SelectionModel(random_state=0)),
            ("reward", CausalRewardRegressor("selection", random_state=0)),
        ],
    )
    @quiet
    def test_columns_reach_the_last_step(self, log, models, name, last):
        columns = {"verified": log.verified, "asked": log.asked}
        alone = models["all"] if name == "selection" else clone(last).fit(log.X, log.y, **columns)
        with sklearn.config_context(enable_metadata_routing=True):
            routed = Pipeline([("same", FunctionTransformer()), (name, last)])
            routed.fit(log.X, log.y, **columns)
        method = "predict_proba" if name == "selection" else "predict"
        np.testing.assert_array_equal(getattr(routed, method)(log.X), getattr(alone, method)(log.X))


BAD_INPUT = {
    "asked of another length": (
        {"asked": np.ones(7, bool)},
        {},
        ex.FeedbackError,
        "asked has 7 values for 3000 rows",
    ),
    "asked with NaN": (
        {"asked": np.where(np.arange(3000) < 5, np.nan, 1.0)},
        {},
        ex.FeedbackError,
        "5 values other than True and False",
    ),
    "verified of another length": (
        {"verified": np.ones(7)},
        {},
        ex.FeedbackError,
        "verified has 7 values for 3000 rows",
    ),
    "verified of 2": (
        {"verified": np.full(3000, 2.0)},
        {},
        ex.FeedbackError,
        "3000 values other than 0, 1 and NaN",
    ),
    "weights of another length": ({"sample_weight": np.ones(7)}, {}, ValueError, "sample_weight"),
    "base rate 0": ({}, {"base_rate": 0.0}, ex.InvalidInputError, "strictly between 0"),
    "base rate 1": ({}, {"base_rate": 1}, ex.InvalidInputError, "strictly between 0"),
    "base rate NaN": ({}, {"base_rate": np.nan}, ex.InvalidInputError, "strictly between 0"),
    "base rate with sd 0": ({}, {"base_rate": (0.5, 0)}, ex.InvalidInputError, "positive standard"),
    "base rate of three": ({}, {"base_rate": (0.5, 1, 2)}, ex.InvalidInputError, "base_rate is"),
    "log odds of 11": ({}, {"selection_log_odds": 11}, ex.InvalidInputError, "-10 to 10"),
    "log odds of -10.5": ({}, {"selection_log_odds": -10.5}, ex.InvalidInputError, "-10 to 10"),
    "log odds NaN": ({}, {"selection_log_odds": np.nan}, ex.InvalidInputError, "-10 to 10"),
    "flip rates": (
        {},
        {"false_positive_rate": 0.6, "false_negative_rate": 0.5},
        ex.InvalidInputError,
        "below 1",
    ),
    "error rate": ({}, {"verified_error_rate": 0.5}, ValueError, "verified_error_rate"),
    "likelihood_power": ({}, {"likelihood_power": 0}, ValueError, "likelihood_power"),
    "cv": ({}, {"cv": 1}, ValueError, "cv"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_gets_one_typed_sentence(log, case):
    columns, parameters, error, words = BAD_INPUT[case]
    with pytest.raises(error, match=words):
        fitted(log, **columns, **parameters)


def test_bad_feedback_gets_one_typed_sentence(log):
    with pytest.raises(ex.FeedbackError, match="3000 rows"):
        fitted(log, np.full(3000, np.nan))
    with pytest.raises(ex.FeedbackError, match="3000 rows"):  # asked, and none answered
        fitted(log, np.full(3000, np.nan), asked=np.ones(3000, bool))
    with pytest.raises(ex.FeedbackError, match="binarise"):
        fitted(log, np.where(np.isnan(log.y), np.nan, log.probability))
    with pytest.raises(ex.FeedbackError, match="2999"):
        fitted(log, log.y[:-1])


class TestWarnings:
    def test_level_left_open(self, log):
        with pytest.warns(ex.BaseRateUncertainWarning, match=r"between \d+% and \d+%.*label"):
            SelectionModel(random_state=0).fit(log.X, log.y)

    @quiet
    def test_few_rated_rows(self, log):
        few = log.y.copy()
        few[np.flatnonzero(few == 0)[20:]] = np.nan
        with pytest.warns(ex.FewFeedbackWarning, match="Only 20 of"):
            SelectionModel(random_state=0).fit(log.X, few)

    def test_verified_rows_of_one_class(self, log):
        ones = np.where(log.verified == 1, 1.0, np.nan)
        with pytest.warns(ex.FewFeedbackWarning, match="verified rows are 1"):
            model = SelectionModel(random_state=0).fit(log.X, log.y, verified=ones)
        assert model.recalibration_.slope == 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_two_hundred_checked_rows_settle_the_level_under_strong_selection(seed):
    """Liked answers ten times likelier to be rated: the log alone has no idea of the level."""
    log = make_observational_feedback(
        8000,
        16,
        selection="reward",
        selection_strength=0.1,
        base_rate=0.3 + 0.2 * seed,
        n_verified=200,
        random_state=seed,
    )
    truth = log.probability.mean()
    with pytest.warns(ex.BaseRateUncertainWarning):
        SelectionModel(random_state=0).fit(log.X, log.y)
    model = fitted(log, verified=log.verified)
    p = model.predict_proba(log.X)[:, 1]
    assert p.mean() == pytest.approx(truth, abs=0.05)
    low, high = model.base_rate_interval_
    assert low - 0.03 < truth < high + 0.03
    known = p.var() - np.mean((p - log.probability) ** 2)
    assert known > 0.5 * log.probability.var()


@pytest.mark.slow
def test_calibration_slope_on_new_rows_is_near_1():
    """Level and flips known, so that what is tested is the stretch of new rows' indices."""
    slopes = []
    for seed in range(4):
        log = make_observational_feedback(14_000, 256, selection="none", random_state=seed)
        train, new = slice(0, 6000), slice(6000, None)
        model = fitted(
            type(log)(X=log.X[train], y=log.y[train]),
            base_rate=0.5,
            false_positive_rate=0.1,
            false_negative_rate=0.2,
        )
        score = logit(model.predict_proba(log.X[new])[:, 1])[:, None]
        slopes.append(LogisticRegression(C=1e6).fit(score, log.reward[new]).coef_[0, 0])
    assert np.mean(slopes) == pytest.approx(1, abs=0.1)
