"""Habits of users, and other instruments, as a way to tell the level."""

import warnings

import numpy as np
import pytest
from scipy.special import expit, logit

from skcausalrm import CausalRewardRegressor, SelectionModel
from skcausalrm import exceptions as ex
from skcausalrm._utils._columns import check_columns
from skcausalrm.datasets import make_observational_feedback
from skcausalrm.inspection import sensitivity_analysis
from skcausalrm.model_selection._cross_fitting import Folds
from skcausalrm.selection._counts import count_outcomes, habit_cells, outcomes_of_rows
from skcausalrm.selection._habit import _GRID, _grid_weights, _user_habits, fit_habit

quiet = pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.SkcausalrmWarning")


def rows(n=6000, n_users=300, *, habits=1.5, seed=0):
    """Return linear predictors, feedback and users: x tells likes, and a user's habit who rates."""
    rng = np.random.default_rng(seed)
    z, users = rng.normal(size=(n, 2)), rng.integers(0, n_users, n)
    habit = habits * rng.normal(size=n_users)
    liked = rng.random(n) < expit(1.5 * z[:, 0])
    rated = rng.random(n) < expit(-1.5 + 0.5 * z[:, 1] + habit[users])
    return z, np.where(rated, liked, np.nan), users, habit[users]


def found(z, y, **given):
    columns = check_columns(z, **given)
    folds = np.arange(len(z)) % 4
    return fit_habit(z, y, columns, Folds(folds, 4, np.arange(len(z))))


def test_without_users_and_instruments_there_is_nothing():
    z, y, *_ = rows(400)
    assert found(z, y) == (None, {})


def test_habits_are_those_of_the_users():
    z, y, users, truth = rows()
    habit, sources = found(z, y, users=users)
    assert sources == {"users": "used"}
    assert habit.values.mean() == pytest.approx(0, abs=1e-9)
    assert np.corrcoef(habit.values, truth)[0, 1] > 0.85
    # On the scale of log odds: a step of 1 in the habit is a step of 1 in the chance of a rating.
    assert np.polyfit(habit.values, truth, 1)[0] == pytest.approx(1, abs=0.15)
    keen = habit.values > np.quantile(habit.values, 0.9)
    assert habit.reach > np.mean(~np.isnan(y[keen]))  # cells are finer where much is rated
    assert (habit.power == 1).all()


def test_a_habit_is_that_of_the_users_other_rows():
    """By the formula, row by row."""
    rng = np.random.default_rng(3)
    users, offset = rng.integers(0, 12, 60), rng.normal(-1, 1, 60)
    rated = rng.random(60) < expit(offset + 2 * rng.normal(size=12)[users])

    def chance(i, t):
        p = expit(offset[i] + t)
        return p if rated[i] else 1 - p

    by_user = np.zeros((12, len(_GRID)))
    for i in range(60):
        by_user[users[i]] += np.log(chance(i, _GRID))
    prior = _grid_weights(by_user)
    expected = []
    for i in range(60):
        others = [j for j in range(60) if users[j] == users[i] and j != i]
        posterior = prior * np.prod([chance(j, _GRID) for j in others] or [np.ones(29)], axis=0)
        own = logit(posterior / posterior.sum() @ expit(offset[i] + _GRID))
        expected.append(own - logit(prior @ expit(offset[i] + _GRID)))
    habits = _user_habits(users, offset, rated, np.ones(60))
    np.testing.assert_allclose(habits, np.clip(expected, -5, 5), rtol=1e-6, atol=1e-9)


def test_the_distribution_of_users_is_the_most_likely_one():
    rng = np.random.default_rng(0)
    by_user = np.log(rng.random((40, len(_GRID))))
    best = _grid_weights(by_user)
    assert best.sum() == pytest.approx(1)

    def log_likelihood(weights):
        return np.log(np.exp(by_user) @ weights).sum()

    for _ in range(50):
        other = 0.98 * best + 0.02 * rng.dirichlet(np.full(len(_GRID), 0.3))
        assert log_likelihood(other) < log_likelihood(best) + 1e-2


def test_a_user_of_one_row_is_any_user():
    z, y, users, _ = rows()
    users[:50] = 1000 + np.arange(50)
    habit, _ = found(z, y, users=users)
    assert np.ptp(habit.values[:50]) < 1e-9


def test_missing_users_are_users_of_their_own():
    z, y, users, _ = rows()
    ids = users.astype(object)
    ids[:50] = None
    users[:50] = 1000 + np.arange(50)
    np.testing.assert_allclose(
        found(z, y, users=ids)[0].values, found(z, y, users=users)[0].values, atol=1e-9
    )


def test_asked_rows_and_rows_of_weight_0_take_no_part():
    z, y, users, _ = rows()
    out = np.arange(len(z)) % 5 == 0
    rest = found(z[~out], y[~out], users=users[~out])[0].values
    asked = found(z, y, users=users, asked=out)[0].values
    np.testing.assert_allclose(asked[~out], rest, atol=1e-9)
    assert (asked[out] == 0).all()
    weightless = found(z, y, users=users, sample_weight=(~out).astype(float))[0].values
    np.testing.assert_allclose(weightless[~out], rest, atol=1e-9)


SAME = "not used: they rate alike, or have one row each"
UNUSED = {
    "one user": (lambda z, y, u: {"users": np.zeros(len(z))}, {"users": SAME}),
    "one row each": (lambda z, y, u: {"users": np.arange(len(z))}, {"users": SAME}),
    "users alike": (lambda z, y, u: {"users": np.arange(len(z)) // 20}, {"users": SAME}),
    "constant": (
        lambda z, y, u: {"instruments": np.ones((len(z), 2))},
        {"instruments": "not used: they do not move who rates"},
    ),
    "unrelated": (
        lambda z, y, u: {"instruments": np.random.default_rng(9).normal(size=len(z))},
        {"instruments": "not used: they do not move who rates"},
    ),
}


@pytest.mark.parametrize("case", UNUSED)
def test_what_says_nothing_is_left_out_and_named(case):
    z, y, users, _ = rows()
    given, sources = UNUSED[case]
    assert found(z, y, **given(z, y, users)) == (None, sources)


def test_chance_alone_is_no_instrument():
    """Of short logs with a coin for an instrument, few pass for ones that move who rates."""
    used = 0
    for seed in range(20):
        z, y, _, _ = rows(1000, seed=seed)
        coin = np.random.default_rng(100 + seed).integers(0, 2, len(z)).astype(float)
        used += found(z, y, instruments=coin)[1]["instruments"] == "used"
    assert used <= 3


def test_logs_that_cannot_use_habits():
    z, y, users, _ = rows(2000)
    all_rated = np.where(np.isnan(y), 1.0, y)
    assert found(z, all_rated, users=users)[1] == {"users": "not used: there is no selection"}
    praise = np.where(y == 1, 1.0, np.nan)
    reason = "not used: volunteers left one kind of feedback"
    assert found(z, praise, users=users)[1] == {"users": reason}
    with pytest.warns(ex.AssumptionWarning, match="hardly tells likes") as caught:
        habit, sources = found(z[::-1], y, users=users)
    assert habit is None
    assert caught[0].message.code == "habit-thumbs"
    assert sources["users"].startswith("not used: among rated rows")


def test_no_user_outweighs_the_others():
    z, y, users, _ = rows()
    users[:1200] = 0
    habit, _ = found(z, y, users=users)
    of_first = users == 0
    assert habit.power[of_first] == pytest.approx(0.02 * len(z) / of_first.sum())
    assert (habit.power[~of_first] == 1).all()
    counts = [
        count_outcomes(z, outcomes_of_rows(y, None), None, habit=habit.values, row_power=power)
        for power in (None, habit.power)
    ]
    assert counts[1].coefficient.sum() == pytest.approx(habit.power.sum() / 4)
    np.testing.assert_array_equal(counts[0].weight, counts[1].weight)


def test_few_keen_users_and_none_that_rate_most_are_named():
    z, y, users, _ = rows(habits=0.5)
    with pytest.warns(ex.AssumptionWarning, match="are rated, so the level rests") as caught:
        habit, _ = found(z, y, users=users)
    assert habit.reach < 0.5
    assert [w.message.code for w in caught] == ["habit-reach"]
    z, y, users, _ = rows(n_users=30)
    with pytest.warns(ex.AssumptionWarning, match="users in effect") as caught:
        found(z, y, users=users)
    assert [w.message.code for w in caught] == ["habit-users"]


def test_cells_tell_the_keen_apart():
    rng = np.random.default_rng(0)
    habit = rng.normal(size=20_000)
    rated = rng.random(20_000) < expit(2 * habit - 3)
    cell = habit_cells(habit, rated, np.ones(20_000))
    assert set(cell) == set(range(8))
    assert (np.diff(cell[np.argsort(habit)]) >= 0).all()
    assert np.mean(cell == 7) < 0.08 < 0.2 < np.mean(cell == 0)
    z, y = rng.normal(size=(20_000, 2)), np.where(rated, 1.0, np.nan)
    y[::3] = np.where(rated[::3], 0.0, np.nan)
    counts = count_outcomes(z, outcomes_of_rows(y, None), None, habit=habit)
    assert counts.weight.sum() == 20_000
    assert counts.weight @ counts.habit == pytest.approx(habit.sum())
    assert counts.coefficient.sum() == pytest.approx(5000)


@pytest.fixture(scope="module")
def log():
    return make_observational_feedback(
        6000, 8, selection="reward", selection_strength=0.2, n_users=500, random_state=4
    )


def fitted(log, **given):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ex.SkcausalrmWarning)
        return SelectionModel(random_state=0).fit(log.X, log.y, **given)


@pytest.fixture(scope="module")
def models(log):
    alike = np.zeros(len(log.y))
    return {
        "alone": fitted(log),
        "users": fitted(log, users=log.users),
        "alike": fitted(log, users=alike),
    }


def test_users_that_say_nothing_change_nothing(models):
    alone, alike = models["alone"], models["alike"]
    for name in ("oof_probability_", "oof_posterior_"):
        np.testing.assert_array_equal(getattr(alone, name), getattr(alike, name))
    assert alone.base_rate_interval_ == alike.base_rate_interval_
    assert alone.level_source_ == {}
    assert "not used" in alike.level_source_["users"]
    for model in (alone, alike):
        assert (model.habit_, model.habit_effect_, model.instrument_reach_) == (None, None, None)


def test_users_tell_the_level(log, models):
    alone, users = models["alone"], models["users"]
    low, high = users.base_rate_interval_
    assert low < log.probability.mean() < high
    assert users.base_rate_std_ < 0.7 * alone.base_rate_std_
    assert users.level_source_ == {"users": "used"}
    assert users.habit_.shape == log.y.shape
    mean, sd = users.habit_effect_
    assert abs(mean - 1) < 0.3
    assert 0 < sd < 0.2
    assert 0.5 < users.instrument_reach_ <= 1


def test_users_serve_the_fit_alone(log, models):
    """Predictions and posteriors of new rows are those of a user of average habit."""
    model = models["users"]
    p = model.predict_proba(log.X[:50])[:, 1]
    theta = np.array([node.theta for node in model.row_posterior_.mixture.nodes])
    z = model.head_.linear_predictors(log.X[:50])
    np.testing.assert_allclose(
        p, expit(theta[:, 0] + z @ theta[:, 1:3].T) @ model.head_.weights, rtol=1e-9
    )
    unrated = model.posterior(log.X[:50], np.full(50, np.nan))
    rated = model.posterior(log.X[:50], np.ones(50))
    assert (unrated < rated).all()


def test_the_posterior_of_an_unrated_row_knows_its_user(log, models):
    """Where selection is on the preference, silence of a keen user says more."""
    model = models["users"]
    unrated = np.isnan(log.y)
    gap = model.oof_posterior_ - model.oof_probability_
    low, high = np.quantile(model.habit_[unrated], [0.2, 0.8])
    keen, shy = unrated & (model.habit_ >= high), unrated & (model.habit_ <= low)
    assert gap[keen].mean() < gap[shy].mean() - 0.02


class TestLevelCheck:
    """Verified rows against the level by users, where keen users get better answers or not."""

    @staticmethod
    def fitted(quality, **given):
        log = make_observational_feedback(
            6000, 8, n_users=500, habit_quality=quality, n_verified=300, random_state=2
        )
        given = {"users": log.users, "verified": log.verified} | given
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model = SelectionModel(random_state=0).fit(log.X, log.y, **given)
        return model.level_check_, {w.message.code for w in caught}

    def test_agreement(self):
        check, codes = self.fitted(0.0)
        assert abs(check.z) < 2
        assert check.p > 0.05
        assert "level-contradicted" not in codes

    def test_contradiction(self):
        check, codes = self.fitted(2.0)
        assert check.z < -2
        assert check.p < 0.05
        assert "level-contradicted" in codes

    @pytest.mark.parametrize("left_out", ["users", "verified"])
    def test_nothing_to_compare(self, left_out):
        assert self.fitted(0.0, **{left_out: None})[0] is None


def test_an_instrument_that_moves_who_rates(log):
    """Feedback was asked for by a prompt, shown at random; without it few answer."""
    rng = np.random.default_rng(1)
    prompted = rng.random(len(log.y)) < 0.5
    y = np.where(prompted | (rng.random(len(log.y)) < 0.2), log.y, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ex.SkcausalrmWarning)
        model = SelectionModel(random_state=0).fit(log.X, y, instruments=prompted)
    assert model.level_source_ == {"instruments": "used"}
    assert model.habit_[prompted].min() > model.habit_[~prompted].max()
    assert model.habit_effect_[0] == pytest.approx(1, abs=0.15)


def test_missing_instruments_are_the_mean_of_the_others():
    z, y, _, truth = rows()
    holes = np.arange(len(z)) % 3 == 0
    given = np.column_stack([np.where(holes, np.nan, truth), np.full(len(z), np.nan)])
    habit, sources = found(z, y, instruments=given)
    assert sources == {"instruments": "used"}
    assert np.ptp(habit.values[holes]) < 0.05
    assert np.corrcoef(habit.values[~holes], truth[~holes])[0, 1] > 0.999


@quiet
def test_rewards_and_sensitivity_use_users(log, models):
    reward = CausalRewardRegressor(SelectionModel(random_state=0)).fit(
        log.X, log.y, users=log.users
    )
    model = reward.nuisances_.selection_model
    assert model.level_source_ == {"users": "used"}
    np.testing.assert_allclose(model.oof_probability_, models["users"].oof_probability_)
    alone, users = (
        sensitivity_analysis(models["users"], log.X, log.y, selection_log_odds=1.5, **given)
        for given in ({}, {"users": log.users})
    )
    assert abs(users["base_rate"][0] - alone["base_rate"][0]) > 0.005


BAD = {
    "users of another length": ({"users": [1, 2]}, ex.GroupsError, "one id per row"),
    "instruments of another length": ({"instruments": [1, 2]}, ex.FeedbackError, "2 values"),
    "instruments of text": ({"instruments": ["a"] * 6000}, ValueError, "could not convert"),
    "infinite": ({"instruments": np.full(6000, np.inf)}, ValueError, "infinity"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(log, case):
    given, error, message = BAD[case]
    with pytest.raises(error, match=message):
        SelectionModel().fit(log.X, log.y, **given)


@quiet
def test_methods_that_use_no_instruments_say_so(log):
    with pytest.raises(ex.UnusedParameterError, match="choose one of 'selection'"):
        CausalRewardRegressor("dr").fit(log.X, log.y, instruments=log.X[:, 0])
    few = np.where(np.arange(len(log.y)) < 150, log.y, np.nan)
    with pytest.warns(ex.MethodFallbackWarning, match="and instruments were not used"):
        CausalRewardRegressor().fit(log.X, few, instruments=log.X[:, 0])


class TestGenerator:
    def test_users_and_habits_do_not_change_the_rest(self):
        plain = make_observational_feedback(300, 4, random_state=0)
        with_users = make_observational_feedback(300, 4, n_users=20, random_state=0)
        assert plain.users is None
        np.testing.assert_array_equal(plain.X, with_users.X)
        assert with_users.propensity.mean() == pytest.approx(0.2)
        assert set(with_users.users) <= set(range(20))

    def test_logged_habits_have_the_shape_of_a_real_log(self):
        log = make_observational_feedback(
            60_000, 4, selection="none", observed_rate=0.5, n_users=400, random_state=0
        )
        share = [np.mean(~np.isnan(log.y[log.users == user])) for user in range(400)]
        low, _, median, high = np.quantile(share, [0.1, 0.25, 0.5, 0.75])
        assert low < 0.05
        assert median > 0.5
        assert high > 0.95

    def test_habits_of_a_given_spread(self):
        log = make_observational_feedback(20_000, 4, n_users=200, habits=0.0, random_state=0)
        none = make_observational_feedback(20_000, 4, random_state=0)
        np.testing.assert_allclose(np.sort(log.propensity), np.sort(none.propensity), rtol=0.2)

    @pytest.mark.parametrize("broken", ["habit_quality", "habit_leniency"])
    def test_broken_assumptions(self, broken):
        sizes = {broken: 1.0, "n_users": 200, "random_state": 0, "observed_rate": 0.4}
        log = make_observational_feedback(20_000, 4, selection="none", **sizes)
        by_user = log.propensity
        keen = by_user > np.median(by_user)
        quality = log.probability[keen].mean() - log.probability[~keen].mean()
        bad = (log.reward == 0) & ~np.isnan(log.y)
        praised = log.y[bad & keen].mean() - log.y[bad & ~keen].mean()
        assert (quality > 0.1) == (broken == "habit_quality")
        assert (praised > 0.03) == (broken == "habit_leniency")

    @pytest.mark.parametrize(
        ("given", "message"),
        [({"n_users": 0}, "n_users"), ({"n_users": 5, "habits": "wild"}, "neither a number")],
    )
    def test_bad_parameters(self, given, message):
        with pytest.raises(ValueError, match=message):
            make_observational_feedback(100, 4, **given)
