"""Folds: what is kept together, what is spread, and that no row sees itself."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.model_selection import GroupKFold, KFold, ShuffleSplit, cross_val_score

from skcausalrm.exceptions import FewFeedbackWarning, GroupsError
from skcausalrm.model_selection._cross_fitting import (
    Folds,
    check_groups,
    cross_fit,
    make_folds,
    training_rows,
)
from skcausalrm.model_selection._splitters import FeedbackStratifiedGroupKFold, feedback_strata


def some_log(n=600, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3)).astype(np.float32)
    y = rng.choice([0.0, 1.0, np.nan], p=[0.1, 0.2, 0.7], size=n)
    return X, y


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(2, 6), st.integers(1, 12))
def test_groups_stay_together_and_strata_are_spread(seed, n_splits, group_size):
    X, y = some_log(600, seed)
    groups = np.arange(600) // group_size
    cv = FeedbackStratifiedGroupKFold(n_splits, random_state=seed)
    strata, seen = feedback_strata(y), np.zeros(600, int)
    for train, test in cv.split(X, y, groups):
        assert not set(groups[train]) & set(groups[test])
        seen[test] += 1
        for stratum in range(3):
            expected = (strata == stratum).sum() / n_splits
            assert abs((strata[test] == stratum).sum() - expected) <= 2 * group_size
    assert (seen == 1).all()


def test_single_rows_are_spread_to_within_one():
    X, y = some_log(601)
    for _, test in FeedbackStratifiedGroupKFold(5, random_state=0).split(X, y):
        for stratum in range(3):
            count = (feedback_strata(y) == stratum).sum() / 5
            assert abs((feedback_strata(y[test]) == stratum).sum() - count) <= 1


def test_splitter_works_in_cross_val_score_with_nan_feedback():
    class RatedMean(RegressorMixin, BaseEstimator):
        def fit(self, X, y):
            self.mean_ = np.nanmean(y)
            return self

        def predict(self, X):
            return np.full(len(X), self.mean_)

    X, y = some_log()
    scores = cross_val_score(
        RatedMean(),
        X,
        y,
        groups=np.arange(600) // 3,
        cv=FeedbackStratifiedGroupKFold(4, random_state=0),
        scoring=lambda model, X, y: np.nanmean((model.predict(X) - y) ** 2),
    )
    assert len(scores) == 4
    assert np.isfinite(scores).all()


def test_equal_rows_share_a_fold_whatever_the_groups():
    X, y = some_log()
    X[300:] = X[:300]
    folds = make_folds(X, y, np.arange(600), 5, 0)
    assert (folds.of_row[:300] == folds.of_row[300:]).all()


def test_equal_rows_are_found_where_the_probed_columns_agree():
    X = np.zeros((6, 50), dtype=np.float32)
    X[:, 20] = [0, 1, 2, 0, 1, 3]
    codes = check_groups(X, None)
    assert len(set(codes)) == 4
    assert codes[0] == codes[3]
    assert codes[1] == codes[4]


def test_groups_and_equal_rows_make_connected_components():
    X, _ = some_log(8)
    X[3] = X[2]
    groups = np.array(["a", "a", "b", "c", "c", "d", "e", "f"])
    codes = check_groups(X, groups)
    assert codes[0] == codes[1]
    assert codes[2] == codes[3] == codes[4]
    assert len(set(codes)) == 5


def test_user_ids_do_not_belong_in_groups():
    X, _ = some_log(6)
    with pytest.raises(GroupsError, match="user ids go to users"):
        check_groups(X, np.ones((6, 2)))


def test_training_rows_count_no_row_of_weight_zero():
    fold = np.array([0, 0, 0, 1, 1, 1])
    labels = np.array([0.0, 1.0, 1.0, 0.0, 1.0, np.nan])
    folds = Folds(fold, 2, np.arange(6))
    np.testing.assert_array_equal(training_rows(labels, folds, None), [[1, 1], [1, 2]])
    weight = np.array([1.0, 0.0, 2.0, 0.0, 1.0, 1.0])
    np.testing.assert_array_equal(training_rows(labels, folds, weight), [[0, 1], [1, 1]])


def test_missing_groups_are_refused():
    X, _ = some_log(4)
    with pytest.raises(GroupsError, match="missing in 1 of 4"):
        check_groups(X, np.array([1.0, np.nan, 2.0, 3.0]))
    with pytest.raises(GroupsError, match="missing in 2 of 4"):
        check_groups(X, np.array(["a", None, None, "b"], dtype=object))


def test_fewer_groups_than_folds_warns_and_one_group_is_an_error():
    X, y = some_log(60)
    with pytest.warns(FewFeedbackWarning, match="form 3 groups"):
        assert make_folds(X, y, np.arange(60) % 3, 5, 0).n_splits == 3
    with pytest.raises(GroupsError, match="1 group"):
        make_folds(X, y, np.zeros(60), 5, 0)


def test_splitters_of_scikit_learn_are_taken_if_they_partition():
    X, y = some_log()
    groups = np.arange(600) // 4
    folds = make_folds(X, y, groups, GroupKFold(3), 0)
    assert folds.n_splits == 3
    assert all(len(set(folds.of_row[groups == g])) == 1 for g in range(150))
    with pytest.raises(GroupsError, match="not exactly once"):
        make_folds(X, y, None, ShuffleSplit(3, random_state=0), 0)
    assert make_folds(X, y, None, list(KFold(4).split(X)), 0).n_splits == 4


def test_no_prediction_comes_from_a_model_that_saw_the_fold():
    class Remember(RegressorMixin, BaseEstimator):
        def fit(self, X, y):
            self.seen_ = set(X[:, 0].tolist())
            return self

        def predict(self, X):
            return np.array([value in self.seen_ for value in X[:, 0].tolist()], float)

    X, y = some_log()
    folds = make_folds(X, y, np.arange(600) // 5, 5, 0)
    models, saw = cross_fit(
        Remember(),
        X,
        np.zeros(600),
        folds,
        rows=~np.isnan(y),
        predict=lambda model, rows: model.predict(rows),
    )
    assert len(models) == 5
    assert not saw.any()
    assert all(len(model.seen_) > 0 for model in models)


def test_same_seed_same_folds():
    X, y = some_log()
    first, second = (make_folds(X, y, None, 5, 7).of_row for _ in range(2))
    assert (first == second).all()
    assert (make_folds(X, y, None, 5, 8).of_row != first).any()
