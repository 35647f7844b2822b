"""The reward estimators: what goes in, what comes out, what is refused."""

import pickle
import warnings
from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy.special import logit
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.tree import DecisionTreeRegressor

from skcausalrm import (
    CausalRewardClassifier,
    CausalRewardRegressor,
    DoublyRobust,
    InversePropensity,
    Naive,
    NoiseOnly,
    NoiseTransitionEstimator,
    PropensityEstimator,
    SelectionModel,
)
from skcausalrm import exceptions as ex
from skcausalrm.datasets import make_observational_feedback
from skcausalrm.heads import MLPHead
from skcausalrm.metrics import pseudo_outcomes
from skcausalrm.nuisances._recipes import NEEDS
from skcausalrm.reward._fit_reward import group_hashes

METHODS = list(NEEDS)
# To the likelihood of "selection" a weight counts as so many rows, against a prior.
RECIPES_ON_RATIOS = [method for method in METHODS if method != "selection"]
KNOWN = NoiseTransitionEstimator(false_positive_rate=0.1, false_negative_rate=0.2)
quiet = pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.SkcausalrmWarning")


@pytest.fixture(scope="module")
def log():
    return make_observational_feedback(
        4000, 12, signal="strong", selection_strength=0.8, observed_rate=0.4, random_state=0
    )


# Corrections by the name of their recipe.
CORRECTIONS = {
    "naive": Naive,
    "noise": NoiseOnly,
    "ips": partial(InversePropensity, normalize=False),
    "snips": InversePropensity,
    "dr": DoublyRobust,
}


def fitted(log, method="dr", estimator=None, *, columns=None, n_jobs=None, verbose=0, **settings):
    """Fit by a method's name, or by its correction with settings."""
    return CausalRewardRegressor(
        CORRECTIONS[method](**settings) if settings else method,
        estimator,
        random_state=0,
        n_jobs=n_jobs,
        verbose=verbose,
    ).fit(log.X, log.y, **(columns or {}))


@quiet
@pytest.mark.parametrize("method", METHODS)
def test_predictions_are_probabilities_and_scores_rank_alike(log, method):
    model = fitted(log, method)
    reward, score = model.predict(log.X), model.decision_function(log.X)
    assert reward.dtype == np.float64
    assert reward.min() >= 0
    assert reward.max() <= 1
    if method == "selection":
        np.testing.assert_allclose(logit(reward), score, atol=1e-9)  # not saturated here
    else:
        inside = (reward > 0) & (reward < 1)
        np.testing.assert_allclose(reward[inside], score[inside])
    assert model.method_ == method
    assert np.isfinite(model.target_[model.weight_ > 0]).all()
    assert np.isfinite(model.score(log.X, log.y))


@quiet
def test_corrections_beat_naive_where_they_should():
    log = make_observational_feedback(
        20_000, 12, signal="strong", selection="x", observed_rate=0.4, random_state=1
    )
    train, test = slice(0, 10_000), slice(10_000, None)
    errors = {}
    for method in ("naive", "dr"):
        model = CausalRewardRegressor(method, random_state=0).fit(log.X[train], log.y[train])
        errors[method] = np.mean((model.predict(log.X[test]) - log.probability[test]) ** 2)
    assert errors["dr"] < 0.8 * errors["naive"]


@quiet
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "head", [Ridge(), DecisionTreeRegressor(max_depth=4), KNeighborsRegressor()]
)
def test_any_regressor_is_a_head(log, method, head):
    if isinstance(head, KNeighborsRegressor) and method in ("ips", "snips"):
        with pytest.raises(ex.UnusedParameterError, match="takes no sample_weight"):
            fitted(log, method, estimator=head)
        return
    model = fitted(log, method, estimator=head)
    assert type(model.estimator_) is type(head)
    assert not hasattr(head, "n_features_in_")
    assert model.predict(log.X[:5]).shape == (5,)


@quiet
def test_mlp_head(log):
    pytest.importorskip("torch")
    model = CausalRewardRegressor(DoublyRobust(noise_estimator=KNOWN), MLPHead(), random_state=0)
    model.fit(log.X[:1500], log.y[:1500])
    assert model.estimator_.link == "logistic"
    assert np.corrcoef(model.predict(log.X), log.probability)[0, 1] > 0.5
    assert np.isfinite(model.decision_function(log.X)).all()


@quiet
@pytest.mark.parametrize("method", ["ips", "snips", "dr"])
def test_known_propensity_replaces_the_estimate(log, method):
    model = fitted(log, method, columns={"propensity": log.propensity})
    assert model.nuisances_.propensity_estimator is None
    observed = ~np.isnan(log.y)
    if method == "ips":
        np.testing.assert_allclose(model.weight_[observed], 1 / log.propensity[observed])
    with pytest.raises(ex.UnusedParameterError, match="propensity="):
        model.score(log.X, log.y)
    assert np.isfinite(model.score(log.X, log.y, propensity=log.propensity))


@quiet
def test_small_known_propensities_are_never_clipped(log):
    propensity = np.full(len(log.y), 0.001)
    model = fitted(log, "ips", columns={"propensity": propensity})
    assert model.weight_.max() == pytest.approx(1000)


@quiet
def test_nuisances_of_ones_own(log):
    model = fitted(
        log,
        propensity_estimator=RandomForestClassifier(20, min_samples_leaf=20, random_state=0),
        noise_estimator=NoiseTransitionEstimator(LogisticRegression(), false_positive_rate=0.1),
        outcome_estimator=DecisionTreeRegressor(max_depth=4),
    )
    assert isinstance(model.nuisances_.propensity_estimator, PropensityEstimator)
    assert isinstance(model.nuisances_.propensity_estimator.estimators_[0], RandomForestClassifier)
    assert model.nuisances_.noise_estimator.false_positive_rate_ == 0.1
    assert isinstance(model.nuisances_.outcome_estimator, DecisionTreeRegressor)


@quiet
def test_frozen_nuisances_are_used_as_they_are(log):
    propensity = PropensityEstimator(random_state=3).fit(log.X, ~np.isnan(log.y))
    noise = clone(KNOWN).fit(log.X, log.y)
    outcome = Ridge().fit(log.X, log.probability)
    model = fitted(
        log,
        propensity_estimator=FrozenEstimator(propensity),
        noise_estimator=FrozenEstimator(noise),
        outcome_estimator=FrozenEstimator(outcome),
    )
    assert model.nuisances_.propensity_estimator is propensity
    assert model.nuisances_.noise_estimator is noise
    e, m = propensity.predict_propensity(log.X), outcome.predict(log.X)
    residual = np.where(np.isnan(log.y), 0, noise.correct(log.y) - m)
    np.testing.assert_allclose(model.target_, m + residual / e, rtol=1e-6)


@quiet
def test_asked_rows_weigh_as_the_union_of_two_samples():
    log = make_observational_feedback(4000, 8, n_asked=600, random_state=0)
    model = CausalRewardRegressor(
        InversePropensity(noise_estimator=KNOWN, normalize=False), random_state=0
    )
    model.fit(log.X, log.y, asked=log.asked, propensity=log.propensity)
    share, observed = log.asked.mean(), ~np.isnan(log.y)
    expected = log.propensity + (1 - log.propensity) * share
    np.testing.assert_allclose(model.weight_[observed], 1 / expected[observed])
    estimated = CausalRewardRegressor(
        InversePropensity(noise_estimator=KNOWN, normalize=False), random_state=0
    )
    estimated.fit(log.X, log.y, asked=log.asked)
    e = estimated.nuisances_.propensity_estimator.oof_propensity_
    union = e + (1 - e) * share
    np.testing.assert_allclose(estimated.weight_[observed], 1 / union[observed])


@quiet
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("head", [None, Ridge()])
def test_verified_rows_recalibrate_every_recipe(method, head):
    log = make_observational_feedback(
        6000, 8, selection="complain", selection_strength=0.3, n_verified=400, random_state=0
    )
    plain = fitted(log, method, estimator=head)
    model = fitted(log, method, estimator=head, columns={"verified": log.verified})
    if method != "selection":  # whose likelihood reads them too
        np.testing.assert_allclose(model.decision_function(log.X), plain.decision_function(log.X))
        np.testing.assert_array_equal(model.target_, plain.target_)
    truth = log.probability.mean()
    assert abs(model.predict(log.X).mean() - truth) < abs(plain.predict(log.X).mean() - truth)


@quiet
def test_recalibration_of_rows_trained_on_is_out_of_fold():
    """A head that memorises: in-sample predictions would ask for a stretch of the logits."""
    log = make_observational_feedback(2000, 5, n_verified=2000, observed_rate=0.5, random_state=0)
    head = KNeighborsRegressor(1)
    model = fitted(log, "noise", estimator=head, columns={"verified": log.verified})
    assert model.recalibration_.slope < -0.3


@quiet
def test_continuous_feedback_corrects_selection_only(log):
    graded = np.where(np.isnan(log.y), np.nan, 3 * log.probability + 1)
    model = fitted(log).fit(log.X, graded)
    assert not model.binary_
    assert model.nuisances_.noise_estimator is None
    assert model.predict(log.X).max() > 1.5
    with pytest.warns(ex.AssumptionWarning):
        CausalRewardRegressor(DoublyRobust(noise_estimator=KNOWN)).fit(log.X, graded)
    with pytest.raises(ex.FeedbackError, match="method='noise'"):
        CausalRewardRegressor("noise").fit(log.X, graded)
    with pytest.raises(ex.UnusedParameterError, match="verified"):
        CausalRewardRegressor().fit(log.X, graded, verified=log.reward)


@quiet
def test_same_seed_same_model_pickle_clone_and_names(log):
    frame = pd.DataFrame(log.X, columns=[f"x{i}" for i in range(12)])
    model = CausalRewardRegressor(random_state=0).fit(frame, pd.Series(log.y))
    assert model.feature_names_in_.tolist() == list(frame.columns)
    np.testing.assert_array_equal(
        clone(model).fit(frame, log.y).predict(frame), model.predict(frame)
    )
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(frame), model.predict(frame))


@quiet
def test_x_is_left_alone_and_memory_maps_are_read(log, tmp_path):
    path = tmp_path / "X.npy"
    np.save(path, log.X)
    X = np.load(path, mmap_mode="r")
    model = CausalRewardRegressor(random_state=0).fit(X, log.y)
    np.testing.assert_array_equal(model.predict(X), fitted(log, "auto").predict(log.X))


@quiet
def test_one_worker_or_two_give_the_same(log):
    results = [
        fitted(
            log,
            propensity_estimator=PropensityEstimator(
                LogisticRegression(), random_state=0, n_jobs=jobs
            ),
            n_jobs=jobs,
        ).predict(log.X)
        for jobs in (1, 2)
    ]
    np.testing.assert_array_equal(*results)


@quiet
@pytest.mark.parametrize("method", METHODS)
def test_weights_of_one_change_nothing(log, method):
    plain = fitted(log, method).predict(log.X)
    ones = fitted(log, method, columns={"sample_weight": np.ones(len(log.y))})
    np.testing.assert_allclose(ones.predict(log.X), plain, atol=1e-5)


@quiet
@pytest.mark.parametrize("method", RECIPES_ON_RATIOS)
def test_scale_of_weights_does_not_matter(log, method):
    known = {} if method == "naive" else {"noise_estimator": KNOWN}
    plain = fitted(log, method, **known).predict(log.X)
    sevens = fitted(log, method, columns={"sample_weight": np.full(len(log.y), 7.0)}, **known)
    np.testing.assert_allclose(sevens.predict(log.X), plain, atol=1e-3)


@quiet
def test_classifier_keeps_names_and_agrees_with_regressor(log):
    names = np.where(np.isnan(log.y), None, np.where(log.y == 1, "up", "down"))
    model = CausalRewardClassifier(random_state=0).fit(log.X, names)
    assert model.classes_.tolist() == ["down", "up"]
    p = model.predict_proba(log.X)
    np.testing.assert_allclose(p[:, 1], fitted(log, "auto").predict(log.X))
    np.testing.assert_array_equal(model.predict(log.X) == "up", p[:, 1] > 0.5)
    np.testing.assert_array_equal(model.decision_function(log.X) > 0, p[:, 1] > 0.5)
    assert np.isfinite(model.score(log.X, names))


@quiet
def test_classifier_threshold_follows_recalibration():
    log = make_observational_feedback(
        6000, 8, selection="complain", selection_strength=0.3, n_verified=400, random_state=0
    )
    model = CausalRewardClassifier("naive", random_state=0)
    model.fit(log.X, log.y, verified=log.verified)
    p = model.predict_proba(log.X)[:, 1]
    sure = np.abs(p - 0.5) > 1e-6
    np.testing.assert_array_equal((model.decision_function(log.X) > 0)[sure], (p > 0.5)[sure])


def test_verbose_names_stages_on_stderr(log, capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted(log, verbose=1)
    out, err = capsys.readouterr()
    assert out == ""
    assert "head" in err


BAD_INPUT = {
    "no feedback": (lambda X, y: (X, np.full(len(y), np.nan), {}), ex.FeedbackError, "4000 rows"),
    "one class": (
        lambda X, y: (X, np.where(np.isnan(y), y, 1.0), {}),
        ex.FeedbackError,
        "All 1604 (rated|labelled) rows",
    ),
    "NaN in X": (lambda X, y: (np.where(X > 1, np.nan, X), y, {}), ValueError, "NaN"),
    "length": (lambda X, y: (X, y[:-1], {}), ex.FeedbackError, "y has 3999 values for 4000 rows"),
    "inf": (lambda X, y: (X, np.where(y == 1, np.inf, y), {}), ex.FeedbackError, "infinite"),
    "weights": (
        lambda X, y: (X, y, {"sample_weight": np.zeros(len(y))}),
        ValueError,
        "zero",
    ),
    "propensity 0": (
        lambda X, y: (X, y, {"propensity": np.zeros(len(y))}),
        ex.InvalidInputError,
        "4000 of 4000",
    ),
    "verified": (
        lambda X, y: (X, y, {"verified": np.full(len(y), 0.5)}),
        ex.FeedbackError,
        "4000 values other than 0, 1",
    ),
    "judge_score": (
        lambda X, y: (X, y, {"judge_score": np.full(len(y), np.nan)}),
        ValueError,
        "judge_score",
    ),
    "asked": (lambda X, y: (X, y, {"asked": np.full(len(y), 7)}), ValueError, "True or False"),
    "short groups": (
        lambda X, y: (X, y, {"groups": [1, 2]}),
        ex.GroupsError,
        "one id per row",
    ),
}


@quiet
@pytest.mark.parametrize("method", ["auto", "dr"])
@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_gets_one_typed_sentence(log, case, method):
    make, error, words = BAD_INPUT[case]
    X, y, columns = make(log.X, log.y)
    with pytest.raises(error, match=words):
        CausalRewardRegressor(method).fit(X, y, **columns)


@quiet
def test_wrong_width_at_predict(log):
    with pytest.raises(ValueError, match="12 features"):
        fitted(log).predict(log.X[:, :5])


def test_unknown_method_and_unusable_parameters(log):
    n = len(log.y)
    with pytest.raises(ValueError, match="method"):
        CausalRewardRegressor("magic").fit(log.X, log.y)
    unusable = [
        ("noise", {}, {"propensity": np.ones(n)}),
        ("selection", {}, {"propensity": np.ones(n)}),
        ("snips", {}, {"judge_score": np.ones(n)}),
        ("dr", {"propensity_estimator": LogisticRegression()}, {"propensity": np.ones(n)}),
    ]
    for method, settings, columns in unusable:
        with pytest.raises(ex.UnusedParameterError, match="leave"):
            fitted(log, method, columns=columns, **settings)
    impossible = NoiseTransitionEstimator(false_positive_rate=0.5, false_negative_rate=0.6)
    with pytest.raises(ex.InvalidInputError, match="below 1"):
        fitted(log, noise_estimator=impossible)
    with pytest.raises(ValueError, match="noise_estimator"):
        fitted(log, noise_estimator=LogisticRegression())
    with pytest.raises(ValueError, match="verified_error_rate"):
        fitted(log, "naive", verified_error_rate=0.5)


@quiet
def test_settings_are_searched_through_the_method(log):
    """A grid reaches a correction's parameters by their nested names, and whole corrections."""
    model = CausalRewardRegressor(DoublyRobust(), random_state=0)
    nested = clone(model).set_params(method__noise_estimator=KNOWN)
    whole = clone(model).set_params(method=DoublyRobust(noise_estimator=KNOWN))
    np.testing.assert_array_equal(
        nested.fit(log.X, log.y).predict(log.X), whole.fit(log.X, log.y).predict(log.X)
    )
    assert model.method.noise_estimator is None
    assert not hasattr(nested.method.noise_estimator, "classes_")  # cloned, never fitted in place


@quiet
@pytest.mark.parametrize("method", ["naive", "dr"])
def test_the_persons_errors_soften_the_recalibration(log, method):
    columns = {"verified": np.where(np.arange(len(log.y)) < 300, log.reward, np.nan)}
    trusted = fitted(log, method, columns=columns)
    doubted = fitted(log, method, columns=columns, verified_error_rate=0.3)
    assert trusted.recalibration_.intercept != doubted.recalibration_.intercept
    np.testing.assert_array_equal(trusted.target_, doubted.target_)


@quiet
def test_a_strings_default_is_its_object(log):
    for method, correction in CORRECTIONS.items():
        np.testing.assert_array_equal(
            fitted(log, method).predict(log.X),
            CausalRewardRegressor(correction(), random_state=0).fit(log.X, log.y).predict(log.X),
        )


@quiet
def test_users_are_clusters_of_standard_errors_alone(log):
    users = np.arange(len(log.y)) % 40
    plain, clustered = fitted(log), fitted(log, columns={"users": users})
    np.testing.assert_array_equal(plain.predict(log.X), clustered.predict(log.X))
    stds = [m.nuisances_.noise_estimator.false_positive_rate_std_ for m in (plain, clustered)]
    assert stds[0] != stds[1]


def test_a_head_of_probabilities_refuses_continuous_feedback(log):
    graded = np.where(np.isnan(log.y), np.nan, 3 * log.probability + 1)
    with pytest.raises(ex.InvalidInputError, match="link='identity'"):
        CausalRewardRegressor("naive", MLPHead()).fit(log.X, graded)


def test_only_continuous_feedback_makes_given_flip_rates_useless(log):
    graded = np.where(np.isnan(log.y), np.nan, 3 * log.probability + 1)
    for y, due in ((log.y, False), (graded, True)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            CausalRewardRegressor(DoublyRobust(noise_estimator=KNOWN)).fit(log.X, y)
        assert ("continuous-feedback" in [w.message.code for w in caught]) == due


def test_warnings_of_their_own():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 3))
    y = np.where(rng.random(3000) < 0.5, (X[:, 0] > 0).astype(float), np.nan)

    few = y.copy()
    few[np.flatnonzero(y == 1)[20:]] = np.nan
    with pytest.warns(ex.FewFeedbackWarning, match="Only 20 of"):
        CausalRewardRegressor("naive").fit(X, few)

    rare = np.where(rng.random(3000) < 0.02, (X[:, 0] > 0).astype(float), np.nan)
    with pytest.warns(ex.OverlapWarning, match="of 3000 propensities"):
        CausalRewardRegressor(InversePropensity(noise_estimator=KNOWN, normalize=False)).fit(
            X, rare
        )

    propensity = np.where(rng.random(3000) < 0.002, 1e-4, 0.9)
    with pytest.warns(ex.OverlapWarning, match="effective sample"):
        CausalRewardRegressor(InversePropensity(noise_estimator=KNOWN, normalize=False)).fit(
            X, y, propensity=propensity
        )

    noise = np.where(np.isnan(y), np.nan, rng.integers(0, 2, 3000))
    with pytest.warns(ex.AssumptionWarning, match="hardly"):
        CausalRewardRegressor("noise").fit(X, noise)

    with pytest.warns(ex.AssumptionWarning, match="All 3000 rows are rated"):
        CausalRewardRegressor(DoublyRobust(noise_estimator=KNOWN)).fit(X, rng.integers(0, 2, 3000))

    asked = np.zeros(3000, bool)
    asked[:1000] = True
    with pytest.warns(ex.AssumptionWarning, match="of 1000 asked rows"):
        CausalRewardRegressor(InversePropensity(noise_estimator=KNOWN, normalize=False)).fit(
            X, y, asked=asked
        )

    verified = np.where(np.isnan(y), np.nan, y)
    with pytest.warns(ex.FewFeedbackWarning, match="unrated"):
        CausalRewardRegressor("naive").fit(X, y, verified=verified)

    groups = np.arange(3000) // 3
    model = CausalRewardRegressor("naive").fit(X[:2000], y[:2000], groups=groups[:2000])
    with pytest.warns(ex.AssumptionWarning, match="of 667 groups"):
        model.score(X[1000:], y[1000:], groups=groups[1000:])
    with warnings.catch_warnings():
        warnings.simplefilter("error", ex.AssumptionWarning)
        model.score(X[2001:], y[2001:], groups=groups[2001:])


def test_score_does_not_repeat_that_asked_rows_have_no_answer(log):
    asked = np.arange(len(log.y)) % 3 == 0
    model = CausalRewardRegressor("naive")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(log.X, log.y, asked=asked)
        assert [w.message.code for w in caught] == ["asked-nonresponse"]
        model.score(log.X, log.y, asked=asked)
    assert len(caught) == 1


@quiet
def test_unknown_users_are_users_of_their_own_in_any_container(log):
    ids = [None if i % 3 == 0 else f"user {i % 40}" for i in range(len(log.y))]
    columns = (ids, [np.nan if name is None else name for name in ids], pd.Series(ids))
    stds = [
        fitted(log, columns={"users": users}).nuisances_.noise_estimator.false_positive_rate_std_
        for users in columns
    ]
    assert len(set(stds)) == 1
    for users in ([1, 2], np.ones((len(log.y), 2))):
        with pytest.raises(ex.GroupsError, match="users has shape"):
            fitted(log, "naive", columns={"users": users})


@quiet
@pytest.mark.parametrize("everyone", [True, False])
def test_a_log_of_asked_answers_alone_is_scored_without_known_propensities(log, everyone):
    asked = np.ones(len(log.y), bool) if everyone else np.arange(len(log.y)) % 3 == 0
    y = np.where(asked, log.reward.astype(float), np.nan)
    model = CausalRewardRegressor(DoublyRobust(noise_estimator=KNOWN), random_state=0)
    model.fit(log.X, y, asked=asked)
    assert model.nuisances_.propensity_estimator is None
    assert np.isfinite(model.score(log.X, y, asked=asked))


@quiet
def test_classifier_takes_clicks_where_something_settles_the_base_rate(log):
    clicks = np.where(log.y == 1, 1.0, np.nan)
    model = CausalRewardClassifier(SelectionModel(base_rate=0.5), random_state=0)
    assert model.fit(log.X, clicks).classes_.tolist() == [0, 1]
    with pytest.raises(ex.FeedbackError, match="one class"):
        CausalRewardClassifier("dr").fit(log.X, clicks)


def test_shared_groups_are_found_whatever_their_dtype(log):
    groups = np.arange(len(log.y)) // 4
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ex.SkcausalrmWarning)
        model = fitted(log, "naive", columns={"groups": groups})
    for tested in (
        groups.astype(float),
        groups.astype(object),
        groups.astype(float).astype(object),
    ):
        with pytest.warns(ex.AssumptionWarning, match="1000 of 1000 groups"):
            model.score(log.X, log.y, groups=tested)
    with pytest.raises(ex.GroupsError, match="missing in 1 of"):
        model.score(log.X, log.y, groups=[None, *groups[1:].tolist()])


def test_groups_hash_alike_if_they_are_written_alike():
    hashes = group_hashes(["a", 1.5, 2.0, 2, None, "a"])
    assert len(hashes) == 3
    assert (np.diff(hashes.astype(float)) > 0).all()
    for one in (["a"], [2], ["2"], [1.5], ["1.5"]):
        assert np.isin(group_hashes(one), hashes).all()
    assert not np.isin(group_hashes([1, "2.0"]), hashes).any()


def test_a_frozen_noise_estimator_is_one_of_flip_rates(log):
    frozen = FrozenEstimator(LogisticRegression().fit(log.X, np.isnan(log.y)))
    with pytest.raises(ex.InvalidInputError, match="a frozen LogisticRegression"):
        fitted(log, noise_estimator=frozen)
    with pytest.raises(ex.InvalidInputError, match="must be a name"):
        pseudo_outcomes(log.X, log.y, method=Naive)


@quiet
def test_given_estimators_are_seeded(log):
    forest = RandomForestClassifier(5, min_samples_leaf=50)
    targets = [fitted(log, propensity_estimator=forest).target_ for _ in range(2)]
    np.testing.assert_array_equal(*targets)


@quiet
def test_a_fit_without_unrated_rows_says_nothing_of_the_propensity_of_others(log):
    asked = np.arange(len(log.y)) % 3 == 0
    model = CausalRewardRegressor(DoublyRobust(noise_estimator=KNOWN), random_state=0)
    model.fit(log.X, log.reward.astype(float), asked=asked)
    with pytest.raises(ex.UnusedParameterError, match="propensity="):
        model.score(log.X, log.y, asked=asked)
