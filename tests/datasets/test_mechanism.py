import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skcausalrm.datasets import (
    make_feedback_logs,
    make_observational_feedback,
    simulate_feedback,
)
from skcausalrm.datasets._mechanism import (
    SELECTIONS,
    draw_feedback,
    make_generator,
    scale_to_rate,
    solve_intercept,
)
from skcausalrm.exceptions import InvalidInputError


@given(
    weight=st.lists(st.floats(1e-8, 1.0), min_size=1, max_size=60),
    rate=st.floats(0.01, 1.0),
)
def test_scale_to_rate_hits_the_rate_under_the_cap(weight, rate):
    weight = np.array(weight)
    propensity = scale_to_rate(weight, rate)
    assert propensity.max() <= 1
    assert propensity.mean() == pytest.approx(rate, rel=1e-6)
    free = propensity < 1 - 1e-12
    if free.any():  # proportional to the weight wherever the cap does not bind
        ratio = propensity[free] / weight[free]
        assert ratio == pytest.approx(ratio[0], rel=1e-9)
        assert np.all(weight[~free] * ratio[0] >= 1 - 1e-9)


@given(
    scale=st.floats(0, 8),
    rate=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**31 - 1),
)
def test_solve_intercept(scale, rate, seed):
    score = scale * np.random.default_rng(seed).standard_normal(200)
    c = solve_intercept(score, rate)
    assert (1 / (1 + np.exp(-score - c))).mean() == pytest.approx(rate, abs=1e-9)


@settings(max_examples=20, deadline=None)
@given(
    selection=st.sampled_from(SELECTIONS),
    strength=st.floats(0.05, 1.0),
    fpr=st.floats(0, 0.4),
    fnr=st.floats(0, 0.4),
    rate=st.floats(0.05, 1.0),
    base_rate=st.floats(0.15, 0.85),
    seed=st.integers(0, 10_000),
)
def test_draws_agree_with_their_settings(selection, strength, fpr, fnr, rate, base_rate, seed):
    n = 20_000
    score = np.random.default_rng(seed).standard_normal(n)
    logs = draw_feedback(
        make_generator(seed),
        logit=2 * score + solve_intercept(2 * score, base_rate),
        index=score,
        selection=selection,
        selection_strength=strength,
        false_positive_rate=fpr,
        false_negative_rate=fnr,
        observed_rate=rate,
        n_asked=0,
        n_verified=50,
    )

    def five_sigma(p, m):
        return 5 * np.sqrt(np.maximum(p * (1 - p), 1e-4) / m) + 1e-9

    observed = ~np.isnan(logs.y)
    assert logs.probability.mean() == pytest.approx(base_rate, abs=1e-9)
    assert abs(logs.reward.mean() - base_rate) < five_sigma(base_rate, n)
    assert logs.propensity.mean() == pytest.approx(rate, rel=1e-6)
    assert abs(observed.mean() - rate) < five_sigma(rate, n)
    for value, flip_rate in ((0, fpr), (1, fnr)):
        rated = observed & (logs.reward == value)
        if rated.sum() > 50:
            flipped = (logs.y[rated] != value).mean()
            assert abs(flipped - flip_rate) < five_sigma(flip_rate, rated.sum())
    for value in (0, 1):  # the propensity is calibrated given the reward too
        rows = logs.reward == value
        spread = np.sqrt((logs.propensity * (1 - logs.propensity))[rows].sum())
        assert abs((observed - logs.propensity)[rows].sum()) < 5 * spread + 10
    checked = ~np.isnan(logs.verified)
    assert checked.sum() == 50
    assert np.array_equal(logs.verified[checked], logs.reward[checked])
    assert logs.n_capped == (logs.propensity == 1).sum()


def test_propensity_is_calibrated_in_every_tenth():
    data = make_observational_feedback(40_000, 8, selection="both", random_state=3)
    observed = ~np.isnan(data.y)
    for rows in np.array_split(np.argsort(data.propensity), 10):
        expected = data.propensity[rows].mean()
        error = np.sqrt(expected * (1 - expected) / rows.size)
        assert abs(observed[rows].mean() - expected) < 4 * error


# Strong selection on both x and the reward, which asked and verified rows must not share.
STRONG = {"selection": "both", "selection_strength": 0.3, "base_rate": 0.7, "random_state": 5}


def embeddings(n, **kwargs):
    return make_observational_feedback(n, 4, **STRONG, **kwargs)


def texts(n, **kwargs):
    logs = make_feedback_logs(n, **STRONG, **kwargs)
    columns = {"y": "feedback", "asked": "asked", "verified": "verified"}
    return logs | {key: logs.frame[name].to_numpy() for key, name in columns.items()}


@pytest.mark.parametrize("make", [embeddings, texts])
class TestAskedAndVerified:
    def test_both_are_drawn_at_random(self, make):
        logs = make(12_000, n_asked=3_000, n_verified=3_000)
        n = 12_000
        verified = ~np.isnan(logs["verified"])
        volunteered = ~np.isnan(logs["y"]) & ~logs["asked"]
        assert logs["asked"].sum() == verified.sum() == 3_000
        for chosen, others in ((logs["asked"], {}), (verified, {"rated": volunteered})):
            truth = {name: logs[name] for name in ("reward", "probability", "propensity")}
            for name, values in {**truth, **others, "row": np.arange(n)}.items():
                error = np.std(values) * np.sqrt(1 / 3_000 - 1 / n)
                assert abs(values[chosen].mean() - values.mean()) < 4.5 * error, name
        both = (logs["asked"] & verified).sum()
        expected = 3_000**2 / n
        assert abs(both - expected) < 4.5 * np.sqrt(expected)
        # While those who volunteer are anything but a random sample.
        assert logs["propensity"][volunteered].mean() > 1.3 * logs["propensity"].mean()

    def test_asked_rows_all_answer_with_the_usual_flips(self, make):
        logs = make(12_000, n_asked=4_000, n_verified=1)
        asked = logs["asked"]
        assert not np.isnan(logs["y"][asked]).any()
        for value, rate in ((0, 0.1), (1, 0.2)):
            rows = asked & (logs["reward"] == value)
            flipped = (logs["y"][rows] != value).mean()
            assert abs(flipped - rate) < 4.5 * np.sqrt(rate * (1 - rate) / rows.sum())
        noisy = (logs["reward"] * 0.8 + (1 - logs["reward"]) * 0.1).mean()
        assert abs(logs["y"][asked].mean() - noisy) < 4.5 * np.sqrt(0.25 / 4_000)

    def test_propensity_is_of_volunteering(self, make):
        logs = make(12_000, n_asked=4_000, n_verified=1, observed_rate=0.25)
        assert logs["propensity"].mean() == pytest.approx(0.25, rel=1e-6)
        assert logs["propensity"][logs["asked"]].mean() < 0.3  # they would not all have volunteered
        rest = ~logs["asked"]
        spread = np.sqrt((logs["propensity"] * (1 - logs["propensity"]))[rest].sum())
        surprise = (~np.isnan(logs["y"]) - logs["propensity"])[rest].sum()
        assert abs(surprise) < 4.5 * spread

    def test_asking_and_checking_change_nothing_else(self, make):
        few, many = (make(12_000, n_asked=k, n_verified=k) for k in (1, 2_000))
        for name in ("reward", "probability", "propensity"):
            assert np.array_equal(few[name], many[name]), name

    def test_every_row_may_be_asked_and_checked(self, make):
        logs = make(1_000, n_asked=1_000, n_verified=1_000)
        assert logs["asked"].all()
        assert not np.isnan(logs["y"]).any()
        assert np.array_equal(logs["verified"], logs["reward"])


class TestSimulateFeedback:
    grade = np.repeat([0.0, 0.25, 0.5, 0.75, 1.0], 20_000)

    def test_published_protocol(self):
        logs = simulate_feedback(self.grade, alpha=0.5, random_state=0)
        by_level = logs.propensity[::20_000]
        assert by_level[1:] / by_level[:-1] == pytest.approx(2)
        assert logs.propensity.mean() == pytest.approx(0.2)
        assert np.array_equal(logs.reward, (self.grade > 0.5).astype(float))
        observed = ~np.isnan(logs.y)
        assert observed.mean() == pytest.approx(0.2, abs=0.01)
        assert logs.y[observed & (logs.reward == 0)].mean() == pytest.approx(0.1, abs=0.02)
        assert logs.y[observed & (logs.reward == 1)].mean() == pytest.approx(0.8, abs=0.01)
        assert logs.n_capped == 0

    def test_median_of_the_levels_not_of_the_rows(self):
        grade = np.repeat([1, 2, 3], [10, 10, 1000])
        assert simulate_feedback(grade, random_state=0).reward.sum() == 1000

    def test_cap_is_part_of_the_solution_and_counted(self):
        logs = simulate_feedback(self.grade, alpha=0.005, observed_rate=0.3, random_state=0)
        assert logs.n_capped == 20_000
        assert logs.propensity.mean() == pytest.approx(0.3)

    def test_scale_and_shift_do_not_matter(self):
        one = simulate_feedback(self.grade, random_state=4)
        other = simulate_feedback(7 - 3 * (1 - self.grade), random_state=4)
        assert np.array_equal(one.y, other.y, equal_nan=True)

    @pytest.mark.parametrize(
        ("reward", "message"),
        [([1.0, np.nan], "1 values"), ([2.0, 2.0], "1 level"), ([[1.0], [2.0]], "shape")],
    )
    def test_bad_reward(self, reward, message):
        with pytest.raises(ValueError, match=message):
            simulate_feedback(reward)

    @pytest.mark.parametrize("alpha", [0, 1.5, "x"])
    def test_bad_alpha(self, alpha):
        with pytest.raises((ValueError, TypeError), match="alpha"):
            simulate_feedback([0, 1], alpha=alpha)

    def test_bad_flip_rates(self):
        with pytest.raises(InvalidInputError, match="coin"):
            simulate_feedback([0, 1], false_positive_rate=0.6, false_negative_rate=0.4)


def test_random_states():
    for state in (0, np.random.RandomState(0), np.random.default_rng(0)):
        assert make_generator(state).random() < 1
    assert make_generator(0).random() == make_generator(np.random.RandomState(0)).random()
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    make_generator(None).random()
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002
