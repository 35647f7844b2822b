import pickle
import types
from copy import deepcopy

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skcausalrm import metrics as m
from skcausalrm.exceptions import (
    FeedbackError,
    GroupsError,
    InvalidInputError,
    UnusedParameterError,
)
from skcausalrm.metrics._metric import LOSSES, METRICS
from skcausalrm.reward import _scorer


class RatedRidge(RegressorMixin, BaseEstimator):
    """Ridge on rated rows, weighted by a power of 1/e; e is column 0 of X."""

    def __init__(self, power=0.0, alpha=1.0):
        self.power = power
        self.alpha = alpha

    def fit(self, X, y):
        y = np.asarray(y)
        rated = ~np.isnan(y)
        self.ridge_ = Ridge(alpha=self.alpha)
        self.ridge_.fit(X[rated, 1:], y[rated], sample_weight=X[rated, 0] ** -self.power)
        return self

    def predict(self, X):
        return self.ridge_.predict(X[:, 1:])


class FixedScore(RegressorMixin, BaseEstimator):
    """A regressor whose clipped prediction ties rows that its decision function tells apart."""

    def fit(self, X, y):
        self.fitted_ = True
        return self

    def decision_function(self, X):
        return X[:, 0]

    def predict(self, X):
        return np.clip(X[:, 0], 0, 1)


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


@pytest.fixture(scope="module")
def logs():
    """Logs with selection on x: the slope of the reward differs where feedback is rare."""
    rng = np.random.default_rng(0)
    n = 6000
    x = rng.normal(size=(n, 2))
    p = 0.5 + 0.35 * np.tanh(np.where(x[:, 0] > 0, -1.5, 2) * x[:, 0] + 0.5 * x[:, 1])
    e = np.where(x[:, 0] > 0, 0.08, 0.7)
    r = (rng.random(n) < p).astype(float)
    s = np.where(rng.random(n) < np.where(r == 1, 0.2, 0.1), 1 - r, r)
    o = rng.random(n) < e
    y = pd.Series(np.where(o, s, np.nan), index=[f"row {i}" for i in rng.permutation(n)])
    z = pd.Series(np.where(o, ((s - 0.1) / 0.7 - 0.5) / e, 0) + 0.5, index=y.index)
    return types.SimpleNamespace(
        X=np.column_stack([e, x]), y=y, z=z, r=pd.Series(r, y.index), groups=np.arange(n) // 3
    )


@pytest.fixture
def counted(monkeypatch):
    """Stand in for `pseudo_outcomes`, whose own tests are elsewhere; record its calls."""
    calls = []

    def pseudo_outcomes(X, y, *, groups=None, sample_weight=None, random_state=None):
        calls.append((X, groups, sample_weight, random_state))
        return np.where(np.isnan(y), 0.5, (np.nan_to_num(y) - 0.5) / X[:, 0] + 0.5)

    monkeypatch.setattr(_scorer, "cross_fit_z", pseudo_outcomes)
    return calls


def search(scoring, **kw):
    return GridSearchCV(
        RatedRidge(), {"power": [0.0, 0.5, 1.0]}, scoring=scoring, cv=KFold(3), **kw
    )


@pytest.mark.parametrize("metric", list(METRICS))
def test_score_is_the_signed_metric_on_the_rows_z(logs, metric):
    model = RatedRidge().fit(logs.X, logs.y)
    f = model.predict(logs.X)
    rows = np.random.default_rng(1).permutation(len(f))[:500]
    rows = rows[(f[rows] >= 0) & (f[rows] <= 1)]
    given = (model, logs.X[rows], logs.y.iloc[rows])
    groups = {"groups": logs.groups[rows]}
    score = m.make_debiased_scorer(metric, pseudo_outcomes=logs.z)(*given, **groups)
    function, sign = METRICS[metric], -1 if metric in LOSSES else 1
    assert score == pytest.approx(sign * function(logs.z.to_numpy()[rows], f[rows], **groups))
    z = logs.z.to_numpy()[rows]
    scorer = m.make_debiased_scorer(metric)
    assert scorer(*given, pseudo_outcomes=z, **groups) == pytest.approx(score)
    if metric == "within_roc_auc":
        with pytest.raises(GroupsError, match="pass the prompt of each row as groups"):
            scorer(*given, pseudo_outcomes=z)


@pytest.mark.parametrize("metric", ["r2", "mse"])
def test_search_picks_what_clean_labels_pick(logs, metric):
    plain = search({"r2": "r2", "mse": "neg_mean_squared_error"}[metric]).fit
    rated = logs.y.notna().to_numpy()
    naive = plain(logs.X[rated], logs.y[rated])
    debiased = search(m.make_debiased_scorer(metric, pseudo_outcomes=logs.z), error_score="raise")
    debiased.fit(logs.X, logs.y)

    clean = []
    for power in (0.0, 0.5, 1.0):
        folds = [
            (-1 if metric in LOSSES else 1)
            * METRICS[metric](
                logs.r.iloc[test],
                RatedRidge(power).fit(logs.X[train], logs.y.iloc[train]).predict(logs.X[test]),
            )
            for train, test in KFold(3).split(logs.X)
        ]
        clean.append(np.mean(folds))
    assert debiased.best_index_ == np.argmax(clean) != naive.best_index_
    assert debiased.cv_results_["mean_test_score"] == pytest.approx(clean, abs=0.06)


def test_routing_and_series_agree_in_processes_pipelines_and_dicts(logs, routing):
    scoring = {k: m.make_debiased_scorer(k) for k in ("r2", "roc_auc")}
    routed = search(scoring, refit="r2", n_jobs=2, error_score="raise")
    routed.fit(logs.X, logs.y, pseudo_outcomes=logs.z)
    with sklearn.config_context(enable_metadata_routing=False):
        scoring = {k: m.make_debiased_scorer(k, pseudo_outcomes=logs.z) for k in scoring}
        pipeline = make_pipeline(StandardScaler(with_mean=False, with_std=False), RatedRidge())
        grid = {"ratedridge__power": [0.0, 0.5, 1.0]}
        series = GridSearchCV(
            pipeline, grid, scoring=scoring, refit="r2", cv=KFold(3), n_jobs=2, error_score="raise"
        ).fit(logs.X, logs.y)
    for name in ("mean_test_r2", "mean_test_roc_auc"):
        assert routed.cv_results_[name] == pytest.approx(series.cv_results_[name])


def test_cross_validate_with_and_without_routing(logs):
    scorer = m.make_debiased_scorer("mse", pseudo_outcomes=logs.z)
    kw = {"cv": GroupKFold(4), "error_score": "raise"}
    off = cross_validate(RatedRidge(), logs.X, logs.y, scoring=scorer, groups=logs.groups, **kw)
    with sklearn.config_context(enable_metadata_routing=True):
        scorer = m.make_debiased_scorer("mse").set_score_request(pseudo_outcomes=True)
        params = {"pseudo_outcomes": logs.z, "groups": logs.groups}
        on = cross_validate(RatedRidge(), logs.X, logs.y, scoring=scorer, params=params, **kw)
    assert on["test_score"] == pytest.approx(off["test_score"])


def test_requests(routing):
    scorer = m.make_debiased_scorer("r2")
    request = scorer.get_metadata_routing().score.requests
    assert request == {"pseudo_outcomes": True, "groups": True, "sample_weight": None}
    assert scorer.set_score_request(pseudo_outcomes="z", sample_weight=True) is scorer
    request = pickle.loads(pickle.dumps(scorer)).get_metadata_routing().score.requests
    assert request == {"pseudo_outcomes": "z", "groups": True, "sample_weight": True}


def test_sample_weight_is_routed(logs, routing):
    weight = np.random.default_rng(2).uniform(0, 2, len(logs.y))
    scorer = m.make_debiased_scorer("mse").set_score_request(sample_weight=True)
    got = cross_validate(
        RatedRidge(),
        logs.X,
        logs.y,
        scoring=scorer,
        params={"pseudo_outcomes": logs.z, "sample_weight": weight},
        cv=[(np.arange(3000), np.arange(3000, 6000))],
        error_score="raise",
    )["test_score"]
    f = RatedRidge().fit(logs.X[:3000], logs.y[:3000]).predict(logs.X[3000:])
    assert got == pytest.approx([-m.debiased_mse(logs.z[3000:], f, sample_weight=weight[3000:])])


def test_classifiers_are_graded_by_probability_and_auc_by_the_decision_function():
    rng = np.random.default_rng(3)
    X = rng.normal(0.5, 1, (300, 1))
    labels = (rng.random(300) < 1 / (1 + np.exp(-X[:, 0]))).astype(int)
    z = pd.Series(labels + rng.normal(0, 0.5, 300))
    classifier = LogisticRegression().fit(X, labels)
    p = classifier.predict_proba(X)[:, 1]
    y = pd.Series(np.nan, z.index)

    def score(metric, estimator):
        return m.make_debiased_scorer(metric, pseudo_outcomes=z)(estimator, X, y)

    assert score("log_loss", classifier) == pytest.approx(-m.debiased_log_loss(z, p))
    right = m.debiased_accuracy_score(z, classifier.predict(X))
    assert score("accuracy", classifier) == pytest.approx(right)
    assert score("log_loss", make_pipeline(StandardScaler(), classifier).fit(X, labels)) < 0
    assert score("roc_auc", classifier) == pytest.approx(m.debiased_roc_auc_score(z, X[:, 0]))
    regressor = make_pipeline(StandardScaler(with_mean=False, with_std=False), FixedScore())
    regressor.fit(X, labels)
    assert score("roc_auc", regressor) == pytest.approx(m.debiased_roc_auc_score(z, X[:, 0]))
    assert score("brier", regressor) == pytest.approx(
        -m.debiased_brier_score(z, np.clip(X[:, 0], 0, 1))
    )


@pytest.mark.parametrize("classifier", [LogisticRegression(), RidgeClassifier()])
@pytest.mark.parametrize("metric", ["accuracy", "mse"])
def test_a_classifiers_feedback_may_have_any_two_labels(logs, counted, metric, classifier):
    y, X = logs.y.to_numpy(), logs.X
    rated = ~np.isnan(y)
    names = np.array(["bad", "good"], dtype=object)[np.nan_to_num(y).astype(int)]
    named = np.where(rated, names, None)
    scorer = m.make_debiased_scorer(metric)
    expected = scorer(clone(classifier).fit(X[rated], y[rated]), X, y)
    model = clone(classifier).fit(X[rated], names[rated])
    assert scorer(model, X, named) == expected
    liked = y == 1  # rows of one label are told from the classes that were fitted on
    assert scorer(model, X[liked], named[liked]) == scorer(
        clone(classifier).fit(X[rated], y[rated]), X[liked], y[liked]
    )
    with pytest.raises(FeedbackError, match="'bad' and 'good'"):
        scorer(model, X, y)


def test_cross_fits_once_per_fold_for_all_candidates_and_metrics(logs, counted):
    scoring = m.make_debiased_scorer(["r2", "mse"])
    result = search(scoring, refit="r2", error_score="raise").fit(logs.X, logs.y)
    assert len(counted) == 3
    assert {call[3] for call in counted} == {0}
    assert sorted(len(call[0]) for call in counted) == [2000, 2000, 2000]
    search(scoring["mse"], error_score="raise").fit(logs.X, logs.y)
    assert len(counted) == 3
    flipped = 1 - logs.y
    search(scoring["mse"], error_score="raise").fit(logs.X, flipped)
    assert len(counted) == 6
    assert np.isfinite(result.cv_results_["mean_test_r2"]).all()


def test_scorers_made_apart_share_nothing(logs, counted):
    scoring = {k: m.make_debiased_scorer(k) for k in ("r2", "mse")}
    search(scoring, refit="r2", error_score="raise").fit(logs.X, logs.y)
    assert len(counted) == 6


@pytest.mark.parametrize("copy", [deepcopy, lambda scorers: pickle.loads(pickle.dumps(scorers))])
def test_copies_start_without_z_and_share_what_they_cross_fit(logs, counted, copy):
    scorers = m.make_debiased_scorer(["r2", "mse"])
    model, rows = RatedRidge().fit(logs.X, logs.y), slice(1000)
    expected = {k: scorer(model, logs.X[rows], logs.y[rows]) for k, scorer in scorers.items()}
    assert len(counted) == 1
    copies = copy(scorers)
    found = {k: scorer(model, logs.X[rows], logs.y[rows]) for k, scorer in copies.items()}
    assert len(counted) == 2
    assert found == expected


def test_z_is_cross_fitted_again_for_other_groups_or_weights(logs, counted):
    scorer, model = m.make_debiased_scorer("mse"), RatedRidge().fit(logs.X, logs.y)
    for kw in (
        {},
        {"groups": logs.groups},
        {"groups": logs.groups // 2},
        {"sample_weight": logs.X[:, 0]},
        {"groups": logs.groups},
    ):
        scorer(model, logs.X, logs.y, **kw)
    assert len(counted) == 4


def test_cross_fitting_gets_groups_and_weights(logs, counted, routing):
    scorer = m.make_debiased_scorer("mse").set_score_request(sample_weight=True)
    weight = np.ones(len(logs.y))
    cross_validate(
        RatedRidge(),
        logs.X,
        logs.y,
        scoring=scorer,
        params={"groups": logs.groups, "sample_weight": weight},
        cv=GroupKFold(2),
        error_score="raise",
    )
    assert len(counted) == 2
    for X, groups, sample_weight, _ in counted:
        assert len(groups) == len(sample_weight) == len(X)
    assert not set(counted[0][1]) & set(counted[1][1])


def test_memory_is_bounded_and_not_pickled(logs, counted, monkeypatch):
    monkeypatch.setattr(_scorer, "_MAX_HELD_OUT_SETS", 2)
    scorer = m.make_debiased_scorer("mse")
    model = RatedRidge().fit(logs.X, logs.y)
    size = len(pickle.dumps(scorer))
    for k in range(5):
        scorer(model, logs.X[k : k + 1000], logs.y[k : k + 1000])
        assert 1 <= len(scorer._held_out) <= 2
    assert len(counted) == 5
    assert len(pickle.dumps(scorer)) == size < 2000


@pytest.mark.parametrize(
    "X",
    [
        ["a", "b"],
        [("p", "c"), ("p", "d")],
        pd.DataFrame({"prompt": ["p", "q"], "completion": ["c", "d"]}),
        [[{"role": "user", "content": "p"}], [{"role": "user", "content": "q"}] * 2],
    ],
)
def test_text_is_told_to_pass_pseudo_outcomes(X, counted):
    with pytest.raises(InvalidInputError, match="pass them as pseudo_outcomes="):
        m.make_debiased_scorer()(FixedScore(), X, np.array([1.0, np.nan]))
    assert not counted


def test_text_is_scored_with_pseudo_outcomes():
    class Length(RegressorMixin, BaseEstimator):
        def predict(self, X):
            return np.array([len(text) / 4 for text in X])

    z = pd.Series([0.1, 1.1, 0.7], index=["a", "b", "c"])
    y = pd.Series(np.nan, index=["c", "a"])
    score = m.make_debiased_scorer("mse", pseudo_outcomes=z)(Length(), ["xxx", "y"], y)
    assert score == pytest.approx(-m.debiased_mse([0.7, 0.1], [0.75, 0.25]))


def test_mismatches_are_named(logs):
    model = RatedRidge().fit(logs.X, logs.y)
    X, y, z = logs.X[:10], logs.y[:10], logs.z[:10]
    scorer = m.make_debiased_scorer("mse", pseudo_outcomes=z)
    with pytest.raises(InvalidInputError, match="y is a ndarray"):
        scorer(model, X, y.to_numpy())
    with pytest.raises(InvalidInputError, match=f"2 of 12 labels .*{logs.y.index[10]}"):
        scorer(model, logs.X[:12], logs.y[:12])
    with pytest.raises(InvalidInputError, match="index of y repeats 1 of 10"):
        scorer(model, X, y.set_axis([*y.index[:9], y.index[0]]))
    with pytest.raises(UnusedParameterError, match="both"):
        scorer(model, X, y, pseudo_outcomes=z)
    with pytest.raises(InvalidInputError, match="different labels"):
        m.make_debiased_scorer("mse")(model, X, y, pseudo_outcomes=z[::-1])
    with pytest.raises(InvalidInputError, match="z has 9 rows and prediction has 10"):
        m.make_debiased_scorer("mse")(model, X, y, pseudo_outcomes=z.to_numpy()[:9])
    with pytest.raises(InvalidInputError, match="is a ndarray"):
        m.make_debiased_scorer("mse", pseudo_outcomes=z.to_numpy())
    with pytest.raises(InvalidInputError, match="repeats 10 of 20"):
        m.make_debiased_scorer("mse", pseudo_outcomes=pd.concat([z, z]))
    with pytest.raises(InvalidInputError, match="NaN or infinite in 3 of 10"):
        m.make_debiased_scorer("mse", pseudo_outcomes=z.where(np.arange(10) > 2))
    with pytest.raises(ValueError, match="must be one of r2, mse, log_loss, brier, roc_auc"):
        m.make_debiased_scorer(["r2", "recall"])


def test_scorer_is_cloned_with_a_search_and_says_what_it_is(logs):
    scorer = m.make_debiased_scorer("brier", pseudo_outcomes=logs.z)
    assert repr(scorer) == "make_debiased_scorer('brier', pseudo_outcomes=<Series>)"
    copy = clone(search(scorer)).scoring
    model = FixedScore().fit(logs.X, logs.y)
    assert copy(model, logs.X, logs.y) == scorer(model, logs.X, logs.y)
