"""partial_fit: the same as a fit on all rows with the nuisances of the first."""

from __future__ import annotations

import pickle
import re
import warnings
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pandas.util import hash_array
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import Ridge

from skcausalrm import CausalRewardClassifier, CausalRewardRegressor, PropensityEstimator
from skcausalrm.crossfit import make_folds
from skcausalrm.datasets import make_observational_feedback
from skcausalrm.exceptions import (
    AskedNonresponseWarning,
    FeedbackValueError,
    GroupsError,
    NoFeedbackError,
    PropensityClippedWarning,
    PropensityError,
    UpdateError,
)
from skcausalrm.heads import RidgeHead
from skcausalrm.heads.moments import FoldMoments
from skcausalrm.heads.ridge import held_out_scores
from skcausalrm.recalibration import refit_recalibration
from skcausalrm.recipes import correct_labels

pytestmark = pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.SkcausalrmWarning")

FIRST = 1500
METHODS = ["naive", "noise", "ips", "snips", "dr", "joint"]


@pytest.fixture(scope="module")
def log():
    return make_observational_feedback(
        2400, 10, n_groups=700, signal="strong", observed_rate=0.4, n_asked=200, n_verified=120,
        dtype="float64", random_state=0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def weight(log):
    return np.random.default_rng(5).choice([0.0, 0.5, 1.0, 3.0], size=len(log.y))


def estimator_of(method):
    return RidgeHead() if method == "joint" else None


def columns_of(log, weight, method, rows):
    """All columns that an update of this method can take."""
    columns = {
        "groups": log.groups[rows],
        "sample_weight": weight[rows],
        "asked": log.asked[rows],
        "verified": log.verified[rows],
    }
    if method == "joint" and rows.min() >= FIRST:
        del columns["verified"]
    return columns


def start(log, weight, method, cls=CausalRewardRegressor, **parameters):
    model = cls(method, estimator_of(method), random_state=0, **parameters)
    rows = np.arange(FIRST)
    return model.partial_fit(log.X[rows], log.y[rows], **columns_of(log, weight, method, rows))


@pytest.fixture(scope="module")
def started(log, weight):
    """Models of the first rows, pickled, since an update changes them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {method: pickle.dumps(start(log, weight, method)) for method in METHODS}


def frozen_labels(model, log, rows, method):
    """Targets and weights of new rows, written down once more from the method card."""
    y, asked = log.y[rows], log.asked[rows]
    observed = ~np.isnan(y)
    if method == "joint":
        posterior = model.selection_model_.posterior(log.X[rows], y, asked=asked)
        return posterior, np.ones(len(y))
    if method == "naive":
        return y, observed.astype(float)
    t = correct_labels(y, model.noise_estimator_.rates_)
    if method == "noise":
        return t, observed.astype(float)
    e = model.propensity_estimator_.predict_propensity(log.X[rows])
    e = e + (1 - e) * log.asked[:FIRST].mean()
    if method == "dr":
        m = model.imputation_estimator_.predict(log.X[rows])
        return np.where(observed, m + (t - m) / e, m), np.ones(len(y))
    weight = np.where(observed, 1 / e, 0)
    if method == "snips":
        rated = ~np.isnan(log.y[:FIRST])
        oof = model.propensity_estimator_.oof_propensity_
        oof = oof + (1 - oof) * log.asked[:FIRST].mean()
        weight = weight / (1 / oof[rated]).mean()
    return t, weight


def fit_on_all(model, log, weight, method):
    """One ridge on all rows at once; folds of new groups as the state says."""
    new = np.arange(FIRST, len(log.y))
    target, recipe = frozen_labels(model, log, new, method)
    target = np.concatenate([model.target_, target])
    recipe = np.concatenate([model.weight_, recipe]) * weight
    first = make_folds(log.X[:FIRST], log.y[:FIRST], log.groups[:FIRST], 5, 0).of_row
    known = dict(zip(log.groups[:FIRST], first, strict=True))
    hashes = hash_array(log.groups.astype(str).astype(object))
    fold = [known.get(name, int(h % 5)) for name, h in zip(log.groups, hashes, strict=True)]
    fold = np.array(fold)
    assert set(fold) == set(range(5))
    moments = FoldMoments(log.X, fold, 5, recipe)
    head = RidgeHead().fit_moments(moments, np.where(recipe > 0, target, 0))
    return head, fold


portions = st.lists(st.integers(FIRST + 1, 2399), max_size=3, unique=True).map(sorted)


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(cuts=portions, seed=st.integers(0, 2**16))
def test_updates_equal_a_fit_on_all_rows(log, weight, started, method, cuts, seed):
    model = pickle.loads(started[method])
    head, fold = fit_on_all(model, log, weight, method)
    rng = np.random.default_rng(seed)
    order = FIRST + rng.permutation(len(log.y) - FIRST)
    parts = np.split(order, np.array(cuts, dtype=int) - FIRST)
    assume(all(not np.isnan(log.y[part]).all() and weight[part].any() for part in parts))
    for part in parts:
        model.partial_fit(log.X[part], log.y[part], **columns_of(log, weight, method, part))
    assert model.n_samples_seen_ == len(log.y)
    found = model.estimator_
    assert found.penalty_ == head.penalty_
    scale = np.abs(head.coef_).max()
    np.testing.assert_allclose(found.coef_, head.coef_, rtol=0, atol=1e-6 * scale)
    np.testing.assert_allclose(found.fold_coefs_, head.fold_coefs_, rtol=0, atol=1e-6 * scale)
    np.testing.assert_allclose(found.cv_risk_, head.cv_risk_, rtol=1e-6)
    if method == "joint":
        assert model.recalibration_ is None
        reward = np.clip(head.predict(log.X), 0, 1)
    else:
        judged = ~np.isnan(log.verified) & (weight > 0)
        held_out = held_out_scores(log.X, fold, head.fold_coefs_, head.fold_intercepts_)
        kinds = np.where(np.isnan(log.y), 0, 1 + (log.y > 0.5))
        recalibration = refit_recalibration(
            np.clip(held_out[judged], 0, 1),
            log.verified[judged],
            log.y[judged],
            weight[judged],
            logged=np.bincount(kinds, weight),
            center=model._update_state.center,
        )
        reward = recalibration(np.clip(head.predict(log.X), 0, 1))
    np.testing.assert_allclose(model.predict(log.X), reward, rtol=0, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_first_call_is_a_fit(log, method, dtype):
    X, head = log.X.astype(dtype), estimator_of(method)
    columns = {"groups": log.groups, "asked": log.asked, "verified": log.verified}
    fitted = CausalRewardRegressor(method, head, random_state=0).fit(X, log.y, **columns)
    started = CausalRewardRegressor(method, head, random_state=0).partial_fit(X, log.y, **columns)
    tolerance = 1e-8 if dtype == "float64" else 1e-4
    np.testing.assert_array_equal(started.target_, fitted.target_)
    np.testing.assert_allclose(started.predict(X), fitted.predict(X), rtol=0, atol=tolerance)
    assert started.effective_sample_size_ == pytest.approx(fitted.effective_sample_size_)
    assert started.estimator_.penalty_ == fitted.estimator_.penalty_


def test_order_and_portions_make_no_difference_at_float32(log, weight):
    results = []
    new = np.arange(FIRST, len(log.y))
    X = (log.X + 100).astype(np.float32)  # far from 0: the sums are about a centre
    for parts in ([new], [new[400:], new[:150], new[150:400]]):
        model = CausalRewardRegressor("dr", random_state=0)
        model.partial_fit(X[:FIRST], log.y[:FIRST], groups=log.groups[:FIRST])
        for part in parts:
            model.partial_fit(X[part], log.y[part], groups=log.groups[part])
        results.append(model.decision_function(X))
    np.testing.assert_allclose(*results, rtol=0, atol=1e-6)


def test_wide_rows_by_krylov(log):
    X = np.random.default_rng(0).normal(size=(1200, 200))
    y = np.where(np.random.default_rng(1).random(1200) < 0.5, (X[:, 0] > 0).astype(float), np.nan)
    whole = CausalRewardRegressor("naive", random_state=0).partial_fit(X, y)
    parts = CausalRewardRegressor("naive", random_state=0).partial_fit(X[:900], y[:900])
    parts.partial_fit(X[900:], y[900:])
    # Other folds, so that the penalty may differ: compare at one.
    for model in (whole, parts):
        model.set_params(estimator=RidgeHead(1.0))
    heads = [m._update_state.solve(m.estimator, 5, 0) for m in (whole, parts)]
    np.testing.assert_allclose(heads[0].coef_, heads[1].coef_, rtol=0, atol=1e-7)


def test_continuous_feedback_and_known_propensities():
    rng = np.random.default_rng(0)
    X, e = rng.normal(size=(900, 6)), rng.uniform(0.2, 0.9, 900)
    y = np.where(rng.random(900) < e, X @ np.arange(6.0), np.nan)
    model = CausalRewardRegressor("ips", RidgeHead(1e-4), random_state=0)
    model.partial_fit(X[:600], y[:600], propensity=e[:600])
    with pytest.raises(UpdateError, match="give propensity"):
        model.partial_fit(X[600:], y[600:])
    model.partial_fit(X[600:], y[600:], propensity=e[600:])
    rated = ~np.isnan(y)
    w = 1 / e[rated]
    mean = np.average(X[rated], axis=0, weights=w)
    Z, t = X[rated] - mean, y[rated] - np.average(y[rated], weights=w)
    unit = np.median(np.average(Z**2, axis=0, weights=w))
    coef = np.linalg.solve((Z.T * w) @ Z + 1e-4 * w.sum() * unit * np.eye(6), (Z.T * w) @ t)
    np.testing.assert_allclose(model.estimator_.coef_, coef, atol=1e-9)


def test_without_groups_equal_rows_share_a_fold(log):
    model = CausalRewardRegressor("naive", random_state=0).partial_fit(log.X, log.y)
    state = model._update_state
    folds = make_folds(log.X, log.y, None, 5, 0).of_row
    assert (state._fold_of(_keys(log.X)) == folds).all()
    assert len(set(state._fold_of(_keys(log.X + 1)))) == 5


def _keys(X):
    from skcausalrm._update_state import _row_keys

    return _row_keys(X, None)


def test_more_rows_say_more():
    log = make_observational_feedback(8000, 40, signal="medium", observed_rate=0.3, random_state=1)
    model = CausalRewardRegressor("dr", random_state=0).partial_fit(log.X[:1500], log.y[:1500])
    test = slice(6000, 8000)
    before = np.corrcoef(model.predict(log.X[test]), log.probability[test])[0, 1]
    model.partial_fit(log.X[1500:6000], log.y[1500:6000])
    after = np.corrcoef(model.predict(log.X[test]), log.probability[test])[0, 1]
    assert after > before + 0.02


def test_a_classifier_takes_its_own_labels(log):
    y = np.where(np.isnan(log.y), None, np.where(log.y == 1, "up", "down"))
    model = CausalRewardClassifier("dr", random_state=0)
    model.partial_fit(log.X[:FIRST], y[:FIRST], ["down", "up"], groups=log.groups[:FIRST])
    model.partial_fit(log.X[FIRST:], y[FIRST:], groups=log.groups[FIRST:])
    same = CausalRewardRegressor("dr", random_state=0)
    same.partial_fit(log.X[:FIRST], log.y[:FIRST], groups=log.groups[:FIRST])
    same.partial_fit(log.X[FIRST:], log.y[FIRST:], groups=log.groups[FIRST:])
    np.testing.assert_allclose(model.predict_proba(log.X)[:, 1], same.predict(log.X))
    with pytest.raises(FeedbackValueError, match="label other than"):
        model.partial_fit(log.X, np.where(log.y == 1, "good", "down"))
    with pytest.raises(FeedbackValueError, match="classes is"):
        clone(model).partial_fit(log.X, y, ["a", "b", "c"])


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (CausalRewardRegressor("joint"), "use estimator=RidgeHead"),
        (CausalRewardRegressor("dr", "mlp"), "'mlp'.*use estimator=RidgeHead"),
        (CausalRewardClassifier("dr", Ridge()), "'Ridge'.*use estimator=RidgeHead"),
    ],
)
def test_a_head_without_sums_has_no_partial_fit(model, sentence):
    assert hasattr(type(model)("dr"), "partial_fit")
    with refused(sentence):
        _ = model.partial_fit


@contextmanager
def refused(sentence):
    """partial_fit is not there, as scikit-learn has it, and the cause says why."""
    with pytest.raises(AttributeError, match="no attribute 'partial_fit'") as caught:
        yield
    assert isinstance(caught.value.__cause__, UpdateError)
    assert re.search(sentence, str(caught.value.__cause__))


def test_auto_that_becomes_joint_is_refused_before_the_work(log):
    model = CausalRewardRegressor(random_state=0)
    with pytest.raises(UpdateError, match=r"estimator=RidgeHead\(\)"):
        model.partial_fit(log.X, log.y)
    assert not hasattr(model, "method_")
    model.set_params(estimator=RidgeHead()).partial_fit(log.X, log.y)
    assert model.method_ == "joint"
    assert model.partial_fit(log.X[:50], log.y[:50]).n_samples_seen_ == len(log.y) + 50


def test_what_fixed_nuisances_cannot_take_is_refused_and_changes_nothing(log, started):
    model = pickle.loads(started["dr"])
    before, rows = model.predict(log.X), np.arange(FIRST, 2000)
    X, y = log.X[rows], log.y[rows]
    users = np.column_stack([log.groups[rows], rows])
    missing = log.groups[rows].astype(float)
    missing[3] = np.nan
    for arguments, error, sentence in (
        ((X, np.full(len(y), np.nan)), NoFeedbackError, "None of the 500 rows has feedback"),
        ((X[:, :-1], y), ValueError, "9 features"),
        ((X, np.where(np.isnan(y), y, y + 0.5)), FeedbackValueError, "fitted on 0/1 feedback"),
        ((X, y, {"groups": users}), UpdateError, "two columns"),
        ((X, y, {"groups": missing}), GroupsError, "missing in 1 of 500"),
        ((X, y, {"groups": missing[:-1]}), ValueError, "inconsistent"),
        ((X, y, {"propensity": np.full(500, 0.5)}), UpdateError, "leave it out"),
        ((X, y, {"propensity": np.zeros(500)}), PropensityError, "outside"),
    ):
        X_given, y_given, *columns = arguments
        with pytest.raises(error, match=sentence):
            model.partial_fit(X_given, y_given, **(columns[0] if columns else {}))
    with pytest.raises(UpdateError, match="method is 'ips' now"):
        clone_with(model, method="ips").partial_fit(X, y)
    with pytest.raises(UpdateError, match="new rows are verified"):
        pickle.loads(started["joint"]).partial_fit(X, y, verified=log.verified[rows])
    assert model.n_samples_seen_ == FIRST
    np.testing.assert_array_equal(model.predict(log.X), before)


def clone_with(model, **parameters):
    return pickle.loads(pickle.dumps(model)).set_params(**parameters)


def test_nobody_asked_at_first_and_nothing_unrated_at_first(log):
    rows = slice(FIRST, 2400)
    model = CausalRewardRegressor("dr", random_state=0).partial_fit(log.X[:FIRST], log.y[:FIRST])
    with pytest.raises(UpdateError, match="new rows were asked for"):
        model.partial_fit(log.X[rows], log.y[rows], asked=log.asked[rows])
    rated = np.flatnonzero(~np.isnan(log.y))
    model = CausalRewardRegressor("dr", random_state=0).partial_fit(log.X[rated], log.y[rated])
    with pytest.raises(UpdateError, match="unrated unasked"):
        model.partial_fit(log.X[rows], log.y[rows])
    assert model.partial_fit(log.X[rated], log.y[rated]).n_samples_seen_ == 2 * len(rated)


def test_new_rows_beyond_the_threshold_and_silent_askees_are_told(log, started):
    model = pickle.loads(started["dr"])
    rows = slice(FIRST, 2400)
    model.propensity_estimator_.clipping_threshold = 0.5
    e = model.propensity_estimator_.predict_proba(log.X[rows])[:, 1]
    with pytest.warns(PropensityClippedWarning, match=f"^{(e <= 0.5).sum()} of 900 "):
        model.partial_fit(log.X[rows], log.y[rows])
    model = pickle.loads(started["dr"])
    with pytest.warns(AskedNonresponseWarning):
        model.partial_fit(log.X[rows], log.y[rows], asked=np.isnan(log.y[rows]))


def test_fit_keeps_nothing_and_forgets_what_was_kept(log, started):
    model = CausalRewardRegressor("dr", random_state=0).fit(log.X, log.y)
    with refused("fitted by fit"):
        model.partial_fit(log.X, log.y)
    model = pickle.loads(started["dr"]).fit(log.X, log.y)
    with refused("fitted by fit"):
        model.partial_fit(log.X, log.y)


def test_estimators_of_ones_own_are_applied_as_they_are(log):
    propensity = PropensityEstimator(HistGradientBoostingClassifier(max_iter=10), cv=3)
    model = CausalRewardRegressor(
        "ips", propensity_estimator=propensity, imputation_estimator=None, random_state=0
    )
    model.partial_fit(log.X[:FIRST], log.y[:FIRST])
    X, y = log.X[FIRST:], log.y[FIRST:]
    model.partial_fit(X, y)
    e = model.propensity_estimator_.predict_propensity(X)
    np.testing.assert_allclose(model.weight_, np.where(np.isnan(y), 0, 1 / e))
