import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline

from skcausalrm.datasets import load_feedback, make_feedback_logs
from skcausalrm.datasets._log_tasks import TASKS
from skcausalrm.datasets._logs import MANNERS, MODELS
from skcausalrm.datasets._mechanism import SELECTIONS
from skcausalrm.exceptions import InvalidInputError


@pytest.fixture(scope="module")
def logs():
    return make_feedback_logs(8_000, n_asked=100, n_verified=50, random_state=0)


def test_table(logs):
    frame = logs.frame
    assert list(frame.columns) == [
        "prompt", "completion", "feedback", "group", "user", "model", "timestamp", "comment",
        "asked", "verified",
    ]  # fmt: skip
    assert len(frame) == 8_000
    assert frame["prompt"].str.len().min() > 5
    assert frame["completion"].str.strip().str.len().min() > 5
    assert frame["feedback"].dropna().isin([0, 1]).all()
    assert (frame.groupby("prompt")["group"].nunique() == 1).all()
    assert (frame.groupby("group")["prompt"].nunique() == 1).all()
    assert set(frame["model"]) == set(MODELS)
    assert frame["timestamp"].is_monotonic_increasing
    assert str(frame["timestamp"].dt.tz) == "UTC"
    assert frame["timestamp"].max() - frame["timestamp"].min() > pd.Timedelta(weeks=7)
    assert frame["user"].nunique() > 100
    assert not {"reward", "probability", "propensity"} & set(frame.columns)


def test_users_with_habits_and_signals():
    made = make_feedback_logs(
        4_000, habits="logged", signals=("copied", "regenerated"), random_state=0
    )
    frame = made.frame
    rated = frame["feedback"].notna()
    assert rated.mean() == pytest.approx(0.3, abs=0.02)
    by_user = rated.groupby(frame["user"]).agg(["mean", "size"])
    active = by_user.loc[by_user["size"] >= 10, "mean"]
    assert (active < 0.05).mean() > 0.2  # most of those are users who never rate
    assert (active > 0.9).mean() > 0.1
    copied, regenerated = (
        frame[name].groupby(made.reward).mean() for name in ("copied", "regenerated")
    )
    assert copied[1] > 2 * copied[0]
    assert regenerated[0] > 2 * regenerated[1]
    assert frame["copied"].dtype == bool


def test_texts_are_short_and_varied(logs):
    words = (logs.frame["prompt"] + " " + logs.frame["completion"]).str.split().str.len()
    assert 20 < words.mean() < 40
    assert words.max() < 130
    assert logs.frame["completion"].nunique() > 2_000
    assert logs.frame["prompt"].nunique() > 500


def test_truth(logs):
    frame = logs.frame
    observed = frame["feedback"].notna().to_numpy()
    volunteered = ~frame["asked"].to_numpy()
    assert logs.probability.mean() == pytest.approx(0.6, abs=1e-9)
    assert logs.reward.mean() == pytest.approx(0.6, abs=0.03)
    assert observed[volunteered].mean() == pytest.approx(
        logs.propensity[volunteered].mean(), abs=0.02
    )
    assert observed[~volunteered].all()
    for value, rate in ((0, 0.1), (1, 0.2)):
        rated = observed & (logs.reward == value)
        flipped = (frame["feedback"][rated] != value).mean()
        assert flipped == pytest.approx(rate, abs=5 * np.sqrt(rate / rated.sum()))
    assert set(logs.manner) == set(MANNERS)
    checked = frame["verified"].notna()
    assert checked.sum() == 50
    assert np.array_equal(frame["verified"][checked], logs.reward[checked])


def test_comments_belong_to_feedback(logs):
    frame = logs.frame
    commented = frame["comment"].notna()
    assert frame.loc[commented, "feedback"].notna().all()
    share = commented.sum() / frame["feedback"].notna().sum()
    assert share == pytest.approx(1 / 3, abs=0.05)
    praised = frame.loc[commented & (frame["feedback"] == 1), "comment"]
    blamed = frame.loc[commented & (frame["feedback"] == 0), "comment"]
    assert not set(praised) & set(blamed)


def test_default_selection_makes_the_naive_mean_wrong():
    logs = make_feedback_logs(8_000, false_positive_rate=0, false_negative_rate=0, random_state=1)
    assert logs.frame["feedback"].mean() < logs.reward.mean() - 0.1
    # The selection is on the text: weighting by the propensity corrects it.
    weight = logs.frame["feedback"].notna() / logs.propensity
    corrected = np.average(logs.frame["feedback"].fillna(0), weights=weight)
    assert corrected == pytest.approx(logs.reward.mean(), abs=0.04)


def test_text_carries_the_reward(logs):
    rows = logs.frame.iloc[:4_000]
    reward, probability = logs.reward[:4_000], logs.probability[:4_000]
    model = make_pipeline(TfidfVectorizer(min_df=3), LogisticRegression())
    predicted = cross_val_predict(
        model,
        rows["prompt"] + " " + rows["completion"],
        reward,
        groups=rows["group"],
        cv=GroupKFold(3),
        method="predict_proba",
    )
    reached = roc_auc_score(reward, predicted[:, 1])
    assert 0.8 < reached < roc_auc_score(reward, probability)


def test_truth_is_a_sensible_one(logs):
    """Good answers are good more often than hedged ones, and these more often than bad ones."""
    mean = pd.Series(logs.probability).groupby(logs.manner).mean()
    assert mean["plain"] > 0.9 > mean["hedged"] > 0.75
    assert mean[["truncated", "repetitive"]].between(0.3, 0.7).all()
    assert mean[["refusal", "off-topic", "rude"]].max() < 0.3


def test_no_text_has_a_gap_left_to_fill(logs):
    assert not logs.frame["completion"].str.contains("{", regex=False).any()
    refusals = logs.frame["completion"][logs.manner == "refusal"]
    assert refusals.nunique() > 30
    assert refusals.str.contains("recipes").any()


def test_models_differ_and_change_over_time(logs):
    by_model = pd.Series(logs.probability).groupby(logs.frame["model"]).mean()
    assert by_model[list(MODELS)].is_monotonic_increasing
    early = logs.frame["model"].iloc[:2_000].value_counts(normalize=True)
    late = logs.frame["model"].iloc[-2_000:].value_counts(normalize=True)
    assert late["assistant-large"] > 2 * early["assistant-large"]


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(2, 300),
    selection=st.sampled_from(SELECTIONS),
    base_rate=st.floats(0.05, 0.95),
    seed=st.integers(0, 1000),
)
@example(n=2, selection="x", base_rate=0.5, seed=837)  # two answers of one length
def test_any_setting(n, selection, base_rate, seed):
    logs = make_feedback_logs(n, selection=selection, base_rate=base_rate, random_state=seed)
    assert len(logs.frame) == n
    assert logs.probability.mean() == pytest.approx(base_rate, abs=1e-9)
    assert logs.propensity.mean() == pytest.approx(0.3, rel=1e-6)
    assert not {"asked", "verified"} & set(logs.frame.columns)


def test_deterministic():
    one, same, other = (make_feedback_logs(300, random_state=seed) for seed in (5, 5, 6))
    pd.testing.assert_frame_equal(one.frame, same.frame)
    assert np.array_equal(one.propensity, same.propensity)
    assert not one.frame["completion"].equals(other.frame["completion"])


@pytest.mark.parametrize("kind", TASKS)
def test_tasks(kind):
    rng = np.random.default_rng(0)
    tasks = [TASKS[kind](rng) for _ in range(200)]
    assert len({task.prompt for task in tasks}) > 8
    for task in tasks:
        assert task.right != task.wrong
        assert "{" not in task.prompt
        assert all(text.strip() for text in task)


def test_round_trip_through_the_loader(tmp_path, logs):
    path = tmp_path / "logs.jsonl"
    logs.frame.to_json(path, orient="records", lines=True, date_format="iso")
    loaded = load_feedback(path)
    for name in ("prompt", "completion", "user", "model"):
        assert loaded[name].tolist() == logs.frame[name].tolist()
    for name in ("feedback", "verified", "asked", "group"):
        assert np.array_equal(
            loaded[name].astype(float), logs.frame[name].astype(float), equal_nan=True
        ), name
    assert (loaded["timestamp"] - logs.frame["timestamp"]).abs().max() < pd.Timedelta("1s")


@pytest.mark.parametrize(
    ("kwargs", "error"),
    [
        ({"n": 1}, ValueError),
        ({"n": 2.5}, TypeError),
        ({"base_rate": 0}, ValueError),
        ({"selection": "y"}, ValueError),
        ({"observed_rate": 1.2}, ValueError),
        ({"n_asked": 101}, ValueError),
        ({"habits": "wild"}, ValueError),
        ({"signals": ["liked"]}, ValueError),
        ({"false_positive_rate": 0.7, "false_negative_rate": 0.3}, InvalidInputError),
    ],
)
def test_bad_parameters(kwargs, error):
    with pytest.raises(error, match=next(iter(kwargs))):
        make_feedback_logs(**{"n": 100, **kwargs})
