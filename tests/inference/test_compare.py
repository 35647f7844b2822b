"""Means and differences of systems: right where the log is, and honest where it is not."""

import warnings

import joblib
import numpy as np
import pytest

from skcausalrm import CausalRewardClassifier, CausalRewardRegressor, SelectionModel
from skcausalrm.datasets import make_observational_feedback
from skcausalrm.exceptions import (
    AssumptionWarning,
    DataLossWarning,
    FeedbackError,
    GroupsError,
    InvalidInputError,
    SkcausalrmWarning,
)
from skcausalrm.inference import _compare, compare, mean_reward
from skcausalrm.inference._set_means import SetMeans

SYSTEMS = np.array(["a", "b", "c"])


def make(seed, n=3000, **given):
    """Return a log whose systems differ by more than x tells, and who answered each row."""
    log = make_observational_feedback(
        n, 8, selection="reward", n_groups=n // 4, n_users=n // 10, random_state=seed, **given
    )
    rng = np.random.default_rng(seed)
    lean = np.outer(2 * log.reward - 1, [-0.4, 0.0, 0.4])
    return log, SYSTEMS[(lean + rng.gumbel(size=lean.shape)).argmax(axis=1)]


def fitted(log, estimator=None, y=None, **given):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkcausalrmWarning)
        model = SelectionModel(random_state=0) if estimator is None else estimator
        return model.fit(log.X, log.y if y is None else y, groups=log.groups, **given)


@pytest.fixture(scope="module", autouse=True)
def _draws_once():
    """Many tests read the same rewards: draw them once."""
    known, read = {}, _compare.read_rewards

    def remember(model, X, y, columns, rng):
        parts = (X, y, columns.asked, columns.judge_score)
        key = (id(model), *(None if part is None else joblib.hash(part) for part in parts))
        if key not in known:
            known[key] = model, read(model, X, y, columns, rng)
        return known[key][1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_compare, "read_rewards", remember)
        yield


@pytest.fixture(scope="module")
def world():
    return make(0, n_verified=90)


@pytest.fixture(scope="module")
def log(world):
    return world[0]


@pytest.fixture(scope="module")
def system(world):
    return world[1]


@pytest.fixture(scope="module")
def model(log):
    return fitted(log)


def truth_of(log, system):
    return {name: log.reward[system == name].mean() for name in SYSTEMS}


def test_verified_rows_settle_the_level_and_systems_keep_their_order(log, system, model):
    alone = compare(model, log.X, log.y, by=system, groups=log.groups)
    found = compare(model, log.X, log.y, by=system, groups=log.groups, verified=log.verified)
    truth = truth_of(log, system)
    assert found.order == ["c", "b", "a"]
    for name, one in found.sets.items():
        assert one.low < truth[name] < one.high
        assert one.std < 0.6 * alone.sets[name].std
        assert one.source == "prediction-powered"
        assert alone.sets[name].source == "log"
        assert (one.n, one.n_verified) == (
            (system == name).sum(),
            np.isfinite(log.verified[system == name]).sum(),
        )
        rated = log.y[(system == name) & ~np.isnan(log.y)]
        assert (one.n_rated, one.liked) == (len(rated), pytest.approx(rated.mean()))
    gap = found.difference("c", "a")
    assert gap.low < truth["c"] - truth["a"] < gap.high
    assert gap.low > 0
    assert found.probability_better("c", "a") > 0.95
    assert found.probability_better("a", "c") == pytest.approx(
        1 - found.probability_better("c", "a")
    )


def test_what_is_open_moves_all_systems_alike(log, system, model):
    """The interval of a difference is that of its draws, not of two intervals."""
    found = compare(model, log.X, log.y, by=system, groups=log.groups)
    gap = found.difference("c", "a")
    apart = np.hypot(found.sets["c"].open_std, found.sets["a"].open_std)
    assert gap.open_std < 0.6 * apart
    assert gap.score == pytest.approx(found.sets["c"].estimate - found.sets["a"].estimate)


def test_a_system_without_verified_rows_borrows_the_level(log, system, model):
    verified = np.where(system == "a", np.nan, log.verified)
    given = {"by": system, "groups": log.groups}
    alone = compare(model, log.X, log.y, **given).sets["a"]
    borrowed = compare(model, log.X, log.y, verified=verified, **given).sets["a"]
    own = compare(model, log.X, log.y, verified=log.verified, **given).sets["a"]
    assert borrowed.source == "borrowed"
    assert own.std < borrowed.std < alone.std
    assert borrowed.low < truth_of(log, system)["a"] < borrowed.high


def test_distrusting_the_log_costs_width_and_leaves_other_systems_to_it(log, system, model):
    verified = np.where(system == "a", np.nan, log.verified)
    given = {"by": system, "groups": log.groups, "verified": verified}
    trusting = compare(model, log.X, log.y, **given)
    found = compare(model, log.X, log.y, trust_log=False, **given)
    assert found.sets["c"].std > trusting.sets["c"].std
    assert found.sets["a"].source == "log"
    # Neither a wrong reward nor a wrong judge moves the estimate beyond its error.
    rng = np.random.default_rng(0)
    wrong = compare(
        fitted(log, y=np.where(np.isnan(log.y), np.nan, 1 - log.y)),
        log.X,
        1 - log.y,
        judge_score=rng.normal(size=len(log.y)),
        trust_log=False,
        **given,
    )
    assert abs(wrong.sets["c"].estimate - log.reward[system == "c"].mean()) < 2 * (
        wrong.sets["c"].std
    )


def test_verified_rows_that_contradict_the_log_are_heard(log, system, model):
    """Users of one system rate what they dislike, those of the others what they like."""
    complains = (system == "c") == (log.reward == 1)
    y = np.where(complains & (np.arange(len(log.y)) % 10 > 0), np.nan, log.y)
    verified = np.where(np.arange(len(log.y)) % 15 == 0, log.reward, np.nan)
    with pytest.warns(AssumptionWarning, match="contradict what the log says of the sets"):
        compare(fitted(log, y=y), log.X, y, by=system, verified=verified)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compare(model, log.X, log.y, by=system, verified=verified)


def test_a_good_judge_narrows_the_interval_of_verified_rows(log, system, model):
    judge = log.reward + np.random.default_rng(0).normal(scale=0.3, size=len(log.y))
    given = {"by": system, "verified": log.verified, "trust_log": False}
    without = compare(model, log.X, log.y, **given)
    with_judge = compare(model, log.X, log.y, judge_score=judge, **given)
    assert with_judge.sets["b"].std < 0.8 * without.sets["b"].std


def test_answers_that_nobody_could_rate(log, system, model):
    new, by = make(0, n=800)
    found = compare(model, new.X, by=by)
    assert {one.source for one in found.sets.values()} == {"model"}
    assert found.sets["a"].n_rated == 0
    assert np.isnan(found.sets["a"].liked)
    whole = mean_reward(model, new.X)
    assert whole.estimate == pytest.approx(model.predict_proba(new.X)[:, 1].mean(), abs=0.05)
    assert found.table()["naive_rank"].isna().all()
    assert "Raw thumbs" not in found.verdict()


def test_other_rows_with_feedback_and_a_level_that_the_fit_has_settled(log):
    settled = fitted(log, verified=log.verified)
    half = np.arange(len(log.y)) < 1500
    found = mean_reward(settled, log.X[half], log.y[half])
    known = mean_reward(settled, log.X, log.y, rows=half)
    assert found.estimate == pytest.approx(known.estimate, abs=2 * known.std)
    assert abs(known.estimate - log.reward[half].mean()) < 2 * known.std
    # The level of another set is as uncertain as that of the fit.
    assert mean_reward(settled, log.X[half]).open_std > 0.6 * known.open_std


def test_few_raters_make_a_set_less_certain_and_move_what_they_share(
    log, system, model, monkeypatch
):
    """Users slip at rates of their own, and five of them are not a sample of all."""
    rated, rows = ~np.isnan(log.y), np.arange(len(log.y))
    few = np.where(rated, rows % 5, 5 + rows)
    variance = {}
    for name, users in (("shared", few), ("own", np.where(rated & (system == "c"), few - 5, few))):
        for further in (0.0, 0.5):
            monkeypatch.setattr(_compare, "_RATER_STD", further)
            gap = compare(model, log.X, log.y, by=system, users=users).difference("c", "a")
            variance[name, further] = gap.std**2
    # Five raters for each set: their mean has a fifth of the variance, or most of it cancels.
    assert variance["own", 0.5] - variance["own", 0.0] == pytest.approx(2 * 0.25 / 5, rel=0.1)
    assert variance["shared", 0.5] - variance["shared", 0.0] < 0.2 * 0.25 / 5


def test_a_part_of_the_rows_is_a_set_of_a_comparison(log, system, model):
    part = mean_reward(model, log.X, log.y, rows=system == "a", verified=log.verified)
    both = compare(
        model, log.X, log.y, by=np.where(system == "a", "a", "rest"), verified=log.verified
    )
    assert part == both.sets["a"]


def test_a_weight_counts_rows_and_none_is_absence(log, system, model):
    twice = mean_reward(model, log.X, log.y, sample_weight=np.where(system == "a", 2.0, 1.0))
    parts = compare(model, log.X, log.y, by=system).sets
    total = sum((1 + (name == "a")) * one.n * one.estimate for name, one in parts.items())
    assert twice.estimate == pytest.approx(total / (3000 + parts["a"].n))
    weight = np.where(system == "b", 0.0, 1.0)
    with pytest.raises(FeedbackError, match="sample_weight is 0 in all rows of 'b'"):
        compare(model, log.X, log.y, by=system, sample_weight=weight)
    assert mean_reward(model, log.X, log.y, sample_weight=weight).n == (system != "b").sum()


def test_paired_comparison_counts_each_prompt_once(log, system, model):
    found = compare(model, log.X, log.y, by=system, groups=log.groups, paired=True)
    prompts = [set(log.groups[system == name]) for name in SYSTEMS]
    shared = set.intersection(*prompts)
    assert sum(one.n for one in found.sets.values()) == np.isin(log.groups, list(shared)).sum()
    with pytest.raises(GroupsError, match="needs groups"):
        compare(model, log.X, log.y, by=system, paired=True)
    with pytest.raises(FeedbackError, match="None of the 3 groups holds answers of all 3"):
        compare(model, log.X, log.y, by=system, groups=system, paired=True)


def test_picking_rows_to_verify_by_known_probability_is_undone(log, system, model):
    """Bad answers are judged four times as often."""
    rng = np.random.default_rng(1)
    picked = np.where(log.reward == 1, 0.05, 0.2)
    verified = np.where(rng.random(len(picked)) < picked, log.reward, np.nan)
    given = {"verified": verified, "trust_log": False}
    biased = mean_reward(model, log.X, log.y, **given)
    found = mean_reward(model, log.X, log.y, verified_propensity=picked, **given)
    assert found.low < log.reward.mean() < found.high
    assert biased.high < log.reward.mean()


def test_every_kind_of_model_and_of_labels(log, system, model):
    regressor = fitted(log, CausalRewardRegressor(SelectionModel(random_state=0), random_state=0))
    found = compare(regressor, log.X, log.y, by=system)
    assert found.order == compare(model, log.X, log.y, by=system).order
    named = np.where(np.isnan(log.y), None, np.where(log.y == 1, "up", "down"))
    classifier = fitted(log, CausalRewardClassifier("selection", random_state=0), y=named)
    assert compare(classifier, log.X, named, by=system).order == found.order
    doubly_robust = fitted(log, CausalRewardRegressor("dr", random_state=0))
    with pytest.raises(InvalidInputError, match="fitted by 'dr', which does not say"):
        compare(doubly_robust, log.X, log.y, by=system)


def test_table_and_verdict(log, system, model):
    found = compare(model, log.X, log.y, by=system, verified=log.verified, baseline="a")
    table = found.table()
    assert table.index.tolist() == found.order
    assert table.loc["a", ["difference", "difference_low", "difference_high"]].tolist() == [0, 0, 0]
    assert table.loc["c", "difference"] == pytest.approx(found.difference("c", "a").score)
    assert found.table("b").loc["a", "difference"] < 0
    assert table["rank"].tolist() == [1, 2, 3]
    pairs = found.differences()
    assert list(pairs.index) == [("c", "b"), ("c", "a"), ("b", "a")]
    gap = found.difference("b", "a")
    expected = (gap.score, gap.std, gap.low, gap.high, found.probability_better("b", "a"))
    assert tuple(pairs.loc[("b", "a")]) == pytest.approx(expected)
    assert f"{gap.low:.3f}" in pairs.to_latex(float_format="%.3f")
    assert found.verdict().startswith("c ")
    assert "Raw thumbs give" in repr(found)
    with pytest.raises(InvalidInputError, match="There is no set 'd': choose one of 'a', 'b', 'c'"):
        found.difference("a", "d")


def test_rows_without_a_system_tell_the_level_and_belong_to_no_set(log, system, model):
    by = np.where(system == "b", None, system)
    with pytest.warns(DataLossWarning, match="rows name no system in by"):
        found = compare(model, log.X, log.y, by=by, verified=log.verified)
    assert list(found.sets) == ["a", "c"]
    nowhere = np.where(system == "b", log.verified, np.nan)
    with pytest.warns(DataLossWarning):
        level = compare(model, log.X, log.y, by=by, verified=nowhere)
    assert {one.source for one in level.sets.values()} == {"borrowed"}
    with (
        pytest.warns(DataLossWarning),
        pytest.raises(FeedbackError, match="verified rows is in any of the sets"),
    ):
        compare(model, log.X, log.y, by=by, verified=nowhere, trust_log=False)


def test_bad_input(log, system, model):
    with pytest.raises(InvalidInputError, match="by names 1 system in 3000 rows"):
        compare(model, log.X, log.y, by=np.full(3000, "a"))
    with pytest.raises(InvalidInputError, match="by names 3000 systems"):
        compare(model, log.X, log.y, by=np.arange(3000))
    with pytest.raises(InvalidInputError, match="by has shape"):
        compare(model, log.X, log.y, by=system[:5])
    with pytest.raises(InvalidInputError, match="baseline is 'd'"):
        compare(model, log.X, log.y, by=system, baseline="d")
    with pytest.raises(FeedbackError, match="None of the 3000 rows is rated"):
        compare(model, log.X, np.full(3000, np.nan), by=system)
    with pytest.raises(FeedbackError, match="rests on verified rows, but none"):
        compare(model, log.X, log.y, by=system, trust_log=False)
    with pytest.raises(FeedbackError, match="rows is False in all"):
        mean_reward(model, log.X, log.y, rows=np.zeros(3000, dtype=bool))
    with pytest.raises(InvalidInputError, match="rows holds 2 values"):
        mean_reward(model, log.X, log.y, rows=[0, 1])
    with pytest.raises(FeedbackError, match="they would count twice: fit it without"):
        settled = fitted(log, verified=log.verified)
        compare(settled, log.X, log.y, by=system, verified=log.verified)


@pytest.mark.slow
def test_intervals_hold_the_truth():
    """Seven logs, three systems each: means and differences, without and with verified rows."""
    held = {"log": [], "verified": []}
    for seed in range(7):
        log, system = make(seed, n=1500, n_verified=40)
        model, truth = fitted(log), truth_of(log, system)
        for kind, verified in (("log", None), ("verified", log.verified)):
            found = compare(
                model,
                log.X,
                log.y,
                by=system,
                groups=log.groups,
                users=log.users,
                verified=verified,
            )
            held[kind] += [one.low <= truth[name] <= one.high for name, one in found.sets.items()]
            for a, b in ("ab", "bc", "ac"):
                gap = found.difference(a, b)
                held[kind].append(gap.low <= truth[a] - truth[b] <= gap.high)
    assert np.mean(held["log"]) > 0.8
    assert np.mean(held["verified"]) > 0.8


def test_intervals_stay_within_what_shares_and_differences_can_be():
    means = SetMeans(np.array([[0.98, 0.97], [0.02, 0.03]]), np.diag([0.04, 0.04]))
    gap, one = means.contrast(np.array([1.0, -1.0])), means.contrast(np.array([1.0, 0.0]))
    assert (gap.high, one.high) == (1, 1)
    assert -1 < gap.low < 0.95 - 1.6449 * 0.08**0.5 + 1e-3
    reverse = means.contrast(np.array([-1.0, 1.0]))
    assert (reverse.low, reverse.high) == (-1, -gap.low)
