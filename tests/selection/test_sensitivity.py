"""Sensitivity analysis: what follows from each value of the selection log odds."""

import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skcausalrm import CausalRewardClassifier, CausalRewardRegressor, SelectionModel
from skcausalrm import exceptions as ex
from skcausalrm.datasets import make_observational_feedback
from skcausalrm.inspection import sensitivity_analysis

pytestmark = pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.SkcausalrmWarning")
GRID = [-2.0, 0.0, 1.5]


@pytest.fixture(scope="module")
def log():
    return make_observational_feedback(2000, 6, selection="reward", n_verified=100, random_state=0)


@pytest.fixture(scope="module")
def model(log):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ex.SkcausalrmWarning)
        return SelectionModel(random_state=0).fit(log.X, log.y)


@pytest.fixture(scope="module")
def table(log, model):
    return sensitivity_analysis(model, log.X, log.y, selection_log_odds=GRID)


def test_each_row_is_the_model_refitted_at_that_value(log, model, table):
    assert table["selection_log_odds"].tolist() == GRID
    for _, row in table.iloc[1:].iterrows():
        fixed = clone(model).set_params(selection_log_odds=row["selection_log_odds"])
        fixed.fit(log.X, log.y)
        assert row["base_rate"] == pytest.approx(fixed.base_rate_)
        interval = row["base_rate_low"], row["base_rate_high"]
        assert interval == pytest.approx(fixed.base_rate_interval_)
        assert row["mean_reward"] == pytest.approx(fixed.oof_probability_.mean())
        assert row["false_positive_rate"] == pytest.approx(fixed.false_positive_rate_)


def test_the_likelier_liked_answers_are_rated_the_fewer_there_are(table):
    assert table["base_rate"].is_monotonic_decreasing
    assert table["log_evidence"].max() == 0
    assert (table["rank_correlation"] > 0.8).all()


def test_mean_reward_of_chosen_rows(log, model):
    good = log.probability > 0.8
    chosen = [
        sensitivity_analysis(model, log.X, log.y, selection_log_odds=1.0, rows=rows)
        for rows in (good, np.flatnonzero(good), None)
    ]
    mask, places, everything = (frame["mean_reward"].item() for frame in chosen)
    assert mask == places
    assert mask > everything + 0.1


def test_mean_reward_of_rows_that_are_compared(log, model):
    good = log.probability > 0.8
    found = sensitivity_analysis(
        model, log.X, log.y, selection_log_odds=1.0, rows=good, versus=~good
    )
    assert found["mean_reward"].item() > found["versus_mean_reward"].item() + 0.1
    for name in ("rows", "versus"):
        none = {name: np.zeros(len(log.y), dtype=bool)}
        with pytest.raises(ex.InvalidInputError, match=f"{name} chooses none of the 2000 rows"):
            sensitivity_analysis(model, log.X, log.y, selection_log_odds=1.0, **none)


def test_verified_rows_say_which_value_fits(log, model):
    frame = sensitivity_analysis(
        model, log.X, log.y, selection_log_odds=[-8, 0.7], verified=log.verified
    )
    assert frame["log_evidence"].iloc[0] < -2
    assert frame["log_evidence"].iloc[1] == 0


@pytest.mark.parametrize(
    "reward",
    [
        CausalRewardRegressor("naive", random_state=0),
        CausalRewardClassifier("selection", random_state=0),
    ],
)
def test_any_reward_is_the_reference(log, reward):
    frame = sensitivity_analysis(reward.fit(log.X, log.y), log.X, log.y, selection_log_odds=[0])
    assert frame["rank_correlation"].item() > 0.5


def test_what_is_refused(log, model):
    with pytest.raises(ex.InvalidInputError, match="-10 to 10"):
        sensitivity_analysis(model, log.X, log.y, selection_log_odds=[0, 12])
    pipe = make_pipeline(StandardScaler(), LogisticRegression()).fit(log.X, log.reward)
    with pytest.raises(TypeError, match="pass its last step"):
        sensitivity_analysis(pipe, log.X, log.y, selection_log_odds=[0])
    scaler = StandardScaler().fit(log.X)
    with pytest.raises(TypeError, match="StandardScaler cannot predict"):
        sensitivity_analysis(scaler, log.X, log.y, selection_log_odds=[0])
    with pytest.raises(ex.FeedbackError, match="verified has 3"):
        sensitivity_analysis(model, log.X, log.y, selection_log_odds=[0], verified=[1, 0, 1])


def test_the_fitted_model_is_left_alone(log, model):
    before = model.base_rate_
    sensitivity_analysis(model, log.X, log.y, selection_log_odds=[3])
    assert model.base_rate_ == before
    assert model.selection_log_odds is None
