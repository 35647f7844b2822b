"""The contract of all baselines: scikit-learn's checks, refusals, seeds."""

from functools import cache

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from skcausalrm.baselines import BaseBaseline, Naive, Plain, all_baselines
from skcausalrm.datasets import make_observational_feedback
from skcausalrm.exceptions import FeedbackError, GroupsError, UnusedParameterError
from skcausalrm.heads import MLPHead

pytest.importorskip("torch")
pytestmark = [
    pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.SkcausalrmWarning"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

HEAD = MLPHead((8,), batch_size=32, learning_rate=0.01, max_epochs=1, device="cpu")
EXPECTED_FAILURES = {
    "check_sample_weight_equivalence_on_dense_data": (
        "repeating a row changes which rows are held out and how minibatches fall, so weights "
        "equal repetition only in expectation"
    ),
}


class OwnMethod(BaseBaseline):
    """A method as a user would write it, with a parameter of its own."""

    def __init__(self, head=None, *, dislike_weight=0.5, random_state=None):
        super().__init__(head, random_state=random_state)
        self.dislike_weight = dislike_weight

    def fit_heads(self, rows):
        def loss(output, target):
            return (output.sigmoid() - target) ** 2

        weight = np.where(rows.s == 1, 1.0, self.dislike_weight)
        return rows.train_heads(rows.s, loss, weight=weight, rows=rows.o)


METHODS = [*all_baselines(), OwnMethod]


def short(cls):
    """The method with a network of one epoch, where it has one."""
    if "head" in cls().get_params(deep=False):
        return cls(head=clone(HEAD), random_state=0)
    return cls()


def on_binary(estimator):
    """The checks give y that is not feedback: cut at its mean, it is."""

    class Binary(type(estimator)):
        def fit(self, X, y, **columns):
            if y is not None and np.asarray(y).dtype.kind in "iufO":
                values = np.asarray(y, dtype=float)
                if values.size and np.isfinite(values).all():
                    y = (values > values.mean()).astype(float)
            return super().fit(X, y, **columns)

    Binary.__name__ = Binary.__qualname__ = f"Binary{type(estimator).__name__}"
    globals()[Binary.__name__] = Binary  # for pickle
    return Binary(**estimator.get_params(deep=False))


def expected_failures(estimator):
    return EXPECTED_FAILURES if hasattr(estimator, "head") else {}


CHECKS = parametrize_with_checks(
    [on_binary(short(cls)) for cls in METHODS], expected_failed_checks=expected_failures
)
# An estimator is written out once, not for each of its checks.
CHECKS.kwargs["ids"] = cache(CHECKS.kwargs["ids"])


@CHECKS
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def data():
    return make_observational_feedback(600, 6, n_groups=100, random_state=0)


@pytest.mark.parametrize("cls", METHODS, ids=lambda cls: cls.__name__)
def test_a_seed_fixes_the_fit_and_rewards_are_probabilities(cls, data):
    model = short(cls)
    model.fit(data.X, data.y, groups=data.groups, sample_weight=np.ones(600))
    first, again = (
        clone(model).fit(data.X, data.y, groups=data.groups).predict(data.X) for _ in range(2)
    )
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(first, model.predict(data.X), atol=1e-6)
    assert first.shape == (600,)
    assert (first >= 0).all()
    assert (first <= 1).all()


@pytest.mark.parametrize("cls", METHODS, ids=lambda cls: cls.__name__)
def test_graded_feedback_is_refused(cls, data):
    graded = np.where(np.isnan(data.y), np.nan, data.y * 3)
    with pytest.raises(FeedbackError, match="neither 0 nor 1 in"):
        short(cls).fit(data.X, graded)


def test_settings_that_would_be_ignored_are_refused(data):
    for head, message in (
        (MLPHead(random_state=1), "random_state=1"),
        (MLPHead(link="identity"), "link"),
    ):
        with pytest.raises(UnusedParameterError, match=message):
            Naive(head).fit(data.X, data.y)


def test_no_rated_row_to_hold_out(data):
    y, rated = np.full(600, np.nan), np.flatnonzero(~np.isnan(data.y))
    group = data.groups == data.groups[rated[0]]
    y[group] = np.arange(group.sum()) % 2
    with pytest.raises(GroupsError, match=r"rows (held out|trained on) is rated"):
        Naive(clone(HEAD), random_state=0).fit(data.X, y, groups=data.groups)


def test_plain_is_logistic_regression_on_the_rated_rows(data):
    from sklearn.linear_model import LogisticRegression

    rated = ~np.isnan(data.y)
    expected = LogisticRegression(max_iter=1000).fit(data.X[rated], data.y[rated])
    np.testing.assert_allclose(
        Plain().fit(data.X, data.y).predict(data.X), expected.predict_proba(data.X)[:, 1]
    )


def test_a_method_of_ones_own_trains_by_its_loss(data):
    rated = ~np.isnan(data.y)
    own = OwnMethod(clone(HEAD), random_state=0).fit(data.X, data.y)
    naive = Naive(clone(HEAD), random_state=0).fit(data.X, data.y)
    assert own.predict(data.X)[rated].mean() > naive.predict(data.X)[rated].mean()
    np.testing.assert_array_equal(
        OwnMethod(clone(HEAD), dislike_weight=1.0, random_state=0)
        .fit(data.X, data.y)
        .predict(data.X),
        naive.predict(data.X),
    )


def test_a_method_without_its_hook_says_what_to_write(data):
    with pytest.raises(NotImplementedError, match=r"write one that returns rows\.train_heads"):
        BaseBaseline(clone(HEAD)).fit(data.X, data.y)


def test_sample_weight_is_requested_only_when_asked_for():
    import sklearn

    with sklearn.config_context(enable_metadata_routing=True):
        for cls in METHODS:
            requests = cls().get_metadata_routing().fit.requests
            assert requests == {"groups": True, "sample_weight": None} | (
                {"clean": None} if "clean" in requests else {}
            )
            asked = cls().set_fit_request(sample_weight=True).get_metadata_routing()
            assert asked.fit.requests["sample_weight"] is True
