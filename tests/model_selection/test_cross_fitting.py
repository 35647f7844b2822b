"""Folds: what is kept together, what is spread, and that no row sees itself."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.model_selection import GroupKFold, KFold, ShuffleSplit, cross_val_score

from skcausalrm.exceptions import FewFeedbackWarning, GroupsError, UnusedParameterError
from skcausalrm.model_selection import FeedbackStratifiedGroupKFold
from skcausalrm.model_selection._cross_fitting import (
    Folds,
    check_groups,
    cross_fit,
    make_folds,
    training_rows,
)
from skcausalrm.model_selection._splitters import feedback_strata


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


def test_equal_rows_share_a_fold_without_groups_only():
    X, y = some_log()
    X[300:] = X[:300]
    folds = make_folds(X, y, None, 5, 0)
    assert (folds.of_row[:300] == folds.of_row[300:]).all()
    folds = make_folds(X, y, np.arange(600), 5, 0)
    assert 40 < (folds.of_row[:300] == folds.of_row[300:]).sum() < 80  # a fifth, by chance
    np.testing.assert_array_equal(folds.groups, np.arange(600))


@pytest.mark.parametrize("grouped", [True, False])
def test_answers_that_a_chatbot_repeats_leave_the_folds_even(grouped):
    rng = np.random.default_rng(0)
    X, y = some_log(4100)
    groups = np.arange(4100) // 10
    said = rng.random(4100) < 0.5  # "No.", "What?" and so on
    X[said] = X[rng.integers(0, 5, said.sum())]
    X[::10] = X[0]  # every conversation opens with the same greeting
    folds = make_folds(X, y, groups if grouped else None, 5, 0)
    assert np.ptp(np.bincount(folds.of_row)) <= 20
    assert int(folds.groups.max()) + 1 >= 410


def test_a_fold_over_twice_its_share_warns():
    X, y = some_log()
    groups = np.where(np.arange(600) < 330, 0, np.arange(600))
    with pytest.warns(
        FewFeedbackWarning, match="folds holds 3.. of 600 rows.*330 rows are one group"
    ) as found:
        make_folds(X, y, groups, 5, 0)
    assert found[0].message.code == "uneven-folds"


def test_equal_rows_are_found_where_the_probed_columns_agree():
    X = np.zeros((60, 50), dtype=np.float32)
    X[:, 20] = [0, 1, 2, 0, 1, *range(3, 58)]
    codes = check_groups(X, None)
    assert len(set(codes)) == 58
    assert codes[0] == codes[3]
    assert codes[1] == codes[4]


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
    with pytest.raises(GroupsError, match="missing in 1 of 4"):
        check_groups(X, ["a", np.nan, "c", "b"])  # numpy would make it the string "nan"
    with pytest.raises(GroupsError, match=r"shape \(3,\) for 4 rows"):
        check_groups(X, [1, 2, 3])


def test_fewer_groups_than_folds_warns_and_one_group_is_an_error():
    X, y = some_log(60)
    with pytest.warns(FewFeedbackWarning, match="form 3 groups"):
        assert make_folds(X, y, np.arange(60) % 3, 5, 0).n_splits == 3
    with pytest.warns(FewFeedbackWarning, match="form 2 groups"):
        assert make_folds(X, y, np.arange(60) % 2, 3, 0).n_splits == 2
    with pytest.raises(GroupsError, match="All 60 rows are of one group"):
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
    with pytest.raises(GroupsError, match="cv splits 1 of 3 groups"):
        make_folds(X, y, np.repeat([0, 1, 2], [150, 150, 300]), list(KFold(4).split(X)), 0)
    with pytest.raises(GroupsError, match="cv is 1, but"):
        make_folds(X, y, groups, 1, 0)
    with pytest.raises(GroupsError, match="at least two folds"):
        make_folds(X, y, None, [(np.arange(0), np.arange(600))], 0)
    default = make_folds(X, y, groups, None, 0)
    assert default.n_splits == 5
    assert (default.of_row == make_folds(X, y, groups, 5, 0).of_row).all()


def test_equal_rows_are_where_a_given_splitter_puts_them():
    X, y = some_log()
    X[300:] = X[:300]
    folds = make_folds(X, y, None, list(KFold(3).split(X)), 0)
    assert np.bincount(folds.of_row).tolist() == [200, 200, 200]
    assert len(set(folds.groups)) == 300


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
    first, second = (make_folds(X, y, None, 5, 7).of_row for _ in range(2))  # one seed
    assert (first == second).all()
    assert (make_folds(X, y, None, 5, 8).of_row != first).any()


def test_strata_of_feedback():
    none = np.nan
    assert feedback_strata([1, 0, none, 1]).tolist() == [2, 1, 0, 2]
    assert feedback_strata([5, 1, none, 3]).tolist() == [2, 1, 0, 1]  # cut at the mean, 3
    assert feedback_strata([none, none]).tolist() == [0, 0]
    names = np.array(["good", "bad", None, "bad"], dtype=object)
    assert feedback_strata(names).tolist() == [2, 1, 0, 1]
    assert feedback_strata(np.array([True, False, None], dtype=object)).tolist() == [2, 1, 0]


def test_splitter_checks_its_arguments():
    X, y = some_log(20)
    with pytest.raises(ValueError, match="y is missing"):
        next(FeedbackStratifiedGroupKFold().split(X))
    for n_splits in (1, 2.5):
        with pytest.raises(ValueError, match=f"n_splits is {n_splits}"):
            next(FeedbackStratifiedGroupKFold(n_splits).split(X, y))
    with pytest.raises(GroupsError, match=r"2 group\(s\) cannot be split into 3 folds"):
        next(FeedbackStratifiedGroupKFold(3).split(X, y, np.arange(20) % 2))
    with pytest.raises(GroupsError, match="user ids go to users"):
        next(FeedbackStratifiedGroupKFold(3).split(X, y, np.ones((20, 2))))
    assert FeedbackStratifiedGroupKFold(7).get_n_splits() == 7
    splits = list(FeedbackStratifiedGroupKFold(4, random_state=1).split(X, y))
    again = list(FeedbackStratifiedGroupKFold(4, random_state=1).split(X, y))
    assert len(splits) == 4
    for (train, test), (_, same) in zip(splits, again, strict=True):
        assert sorted([*train, *test]) == list(range(20))
        assert (test == same).all()


def test_per_row_arguments_are_cut_to_the_training_rows():
    class WeightedMean(RegressorMixin, BaseEstimator):
        def fit(self, X, y, sample_weight=None):
            self.mean_ = np.average(y, weights=sample_weight)
            return self

        def predict(self, X):
            return np.full(len(X), self.mean_)

    class PlainMean(WeightedMean):
        def fit(self, X, y):
            return super().fit(X, y)

    def predict(model, rows):
        return model.predict(rows)

    X, _ = some_log()
    rng = np.random.default_rng(0)
    y, weight, rows = rng.normal(size=600), rng.uniform(1, 2, 600), rng.random(600) < 0.8
    folds = make_folds(X, y, None, 4, 0)
    given = {"fit_params": {"sample_weight": weight}, "rows": rows, "predict": predict}
    _, found = cross_fit(WeightedMean(), X, y, folds, **given)
    for k in range(4):
        train = rows & (folds.of_row != k)
        expected = np.average(y[train], weights=weight[train])
        assert found[folds.of_row == k] == pytest.approx(expected)
    with pytest.raises(UnusedParameterError, match=r"PlainMean\.fit takes no sample_weight"):
        cross_fit(PlainMean(), X, y, folds, **given)
