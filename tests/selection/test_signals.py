"""Copies, regenerations and other signals next to thumbs."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn import config_context
from sklearn.model_selection import KFold, cross_val_score

from skcausalrm import CausalRewardClassifier, CausalRewardRegressor, SelectionModel
from skcausalrm import exceptions as ex
from skcausalrm._utils._columns import check_columns
from skcausalrm._utils._signals import check_signals
from skcausalrm.datasets import make_observational_feedback
from skcausalrm.inspection import sensitivity_analysis
from skcausalrm.selection._averaging import average
from skcausalrm.selection._counts import count_outcomes, outcomes_of_rows
from skcausalrm.selection._likelihood import GradedLikelihood
from skcausalrm.selection._parameters import SignalFacts
from skcausalrm.selection._priors import Knowledge, base_rate_prior
from skcausalrm.selection._signals import (
    RowSignals,
    signal_dependence,
    signal_log_odds,
    take_signals,
)

quiet = pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.SkcausalrmWarning")


@pytest.fixture(scope="module")
def log():
    return make_observational_feedback(
        5000,
        8,
        selection="reward",
        selection_strength=0.2,
        n_users=400,
        signals=("copied", "regenerated"),
        n_asked=200,
        n_verified=50,
        random_state=4,
    )


def fitted(log, **given):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ex.SkcausalrmWarning)
        return SelectionModel(random_state=0).fit(log.X, log.y, **given)


@pytest.fixture(scope="module")
def models(log):
    return {
        "alone": fitted(log),
        "signals": fitted(log, signals=log.signals),
        "both": fitted(log, signals=log.signals, users=log.users),
    }


@pytest.mark.parametrize("arm", ["signals", "both"])
def test_signals_tell_the_level(log, models, arm):
    alone, model = models["alone"], models[arm]
    low, high = model.base_rate_interval_
    assert low < log.probability.mean() < high
    assert model.base_rate_std_ < (1 if arm == "signals" else 0.7) * alone.base_rate_std_
    assert model.level_source_["signals"] == "used"
    assert alone.signal_log_odds_ is alone.signal_dependence_ is None
    copied, regenerated = (model.signal_log_odds_[name] for name in ("copied", "regenerated"))
    # The truth: the log odds of .30 against .08, and of .06 against .28.
    assert abs(copied[0] - 1.6) < 3 * copied[1]
    assert abs(regenerated[0] + 1.8) < 3 * regenerated[1]
    assert set(model.signal_dependence_["regenerated"]) == {"rating", "copied"}


def test_the_posterior_of_a_row_knows_its_signals(log, models):
    model = models["signals"]
    unrated = np.isnan(log.y)
    gap = model.oof_posterior_ - model.oof_probability_
    copied, regenerated = (log.signals[name] == 1 for name in ("copied", "regenerated"))
    assert gap[unrated & copied & ~regenerated].min() > 0
    assert gap[unrated & regenerated & ~copied].max() < 0
    # New rows show none, so silence alone speaks.
    new = model.posterior(log.X[:100], np.full(100, np.nan))
    assert ((new > 0) & (new < 1)).all()


@quiet
def test_asked_and_verified_rows_have_signals_too(log):
    model = fitted(log, signals=log.signals, asked=log.asked, verified=log.verified)
    assert set(model.level_source_.values()) == {"used"}
    low, high = model.base_rate_interval_
    assert low < log.probability.mean() < high
    assert model.recalibration_ is not None


def test_a_signal_that_is_nowhere_seen_tells_nothing():
    """Rows where it is NaN have the probabilities of a log without it."""
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(300, 2)), rng.choice([0.0, 1.0, np.nan], 300, p=[0.1, 0.2, 0.7])
    outcome = outcomes_of_rows(y, None)
    facts = SignalFacts(np.array([1.0]), np.array([0.3]), 0.3, np.array([False]))
    with_signal = count_outcomes(
        z, outcome, None, signals=np.full((300, 1), np.nan), facts=facts, n_cells=None
    )
    models = [
        GradedLikelihood(counts, Knowledge(), 0.3, 2.3)
        for counts in (count_outcomes(z, outcome, None, n_cells=None), with_signal)
    ]
    theta = models[0].start + 0.1
    values = [model.evaluate(np.append(theta, model.start[len(theta) :]))[0] for model in models]
    assert values[0] == pytest.approx(values[1])


def test_cells_hold_rows_that_agree_in_their_signals():
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(4000, 2)), rng.choice([0.0, 1.0, np.nan], 4000, p=[0.1, 0.2, 0.7])
    signals = rng.choice([0.0, 1.0, np.nan], (4000, 2), p=[0.6, 0.3, 0.1])
    facts = SignalFacts(np.array([1.0, -1.0]), np.array([0.3, 0.3]), 0.3, np.zeros(2, bool))
    asked = np.arange(4000) % 10 == 0
    outcome = outcomes_of_rows(y, asked)
    counts = count_outcomes(z, outcome, None, signals=signals, facts=facts)
    assert counts.weight.sum() == 4000
    for j in range(2):
        share = counts.weight[counts.signals[:, j] == 1].sum()
        assert share == np.sum(signals[:, j] == 1)
    assert counts.weight[np.isnan(counts.rated)].sum() == asked.sum()
    rated = counts.rated[counts.cell]
    of_entry = np.where(np.isnan(rated), 2, rated)
    kinds = {2: {4, 5, 6}, 1: {1, 2}, 0: {0}}
    for kind, allowed in kinds.items():
        assert set(counts.outcome[of_entry == kind]) <= allowed


def test_signals_drawn_from_the_likelihood_are_found():
    """Slopes, curve, dependence on a rating and on each other, by maximum a posteriori."""
    rng = np.random.default_rng(1)
    n = 40_000
    z = rng.normal(size=(n, 2))
    strength = 0.3 + 1.3 * z[:, 0] + rng.logistic(size=n)
    good = strength > 0
    rated = rng.random(n) < expit(-1.2 + 0.5 * z[:, 1] + 0.8 * good)
    y = np.where(rated, np.where(rng.random(n) < 0.1, ~good, good), np.nan)
    cuts = np.sqrt(1.3**2 + np.pi**2 / 3) * np.array([-0.97, -0.43, 0.0, 0.43, 0.97])
    grade = np.linspace(-1, 1, 6)[np.digitize(strength, cuts)]
    first = rng.random(n) < expit(-1 + grade + 0.7 * rated)
    second = rng.random(n) < expit(-1 - 1.5 * grade + 0.9 * first)
    values = np.column_stack([first, second]).astype(float)
    inside = np.zeros(2, dtype=bool)
    facts = SignalFacts(np.array([1.0, -1.0]), values.mean(axis=0), rated.mean(), inside)
    counts = count_outcomes(
        z, outcomes_of_rows(y, None), None, signals=values, facts=facts, likelihood_power=1.0
    )
    whole = average(counts, Knowledge(), base_rate_prior(None))[1]
    low, high = whole.base_rate_interval
    assert low < good.mean() < high
    rows = RowSignals(("first", "second"), values, facts)
    odds, dependence = signal_log_odds(whole, rows), signal_dependence(whole, rows)
    assert odds["first"][0] == pytest.approx(1.2, abs=0.3)
    assert odds["second"][0] == pytest.approx(-1.8, abs=0.3)
    assert dependence["first"]["rating"][0] == pytest.approx(0.7, abs=0.15)
    assert dependence["second"]["first"][0] == pytest.approx(0.9, abs=0.15)


@quiet
def test_signals_that_hardly_vary_are_left_out_and_named(log):
    given = pd.DataFrame({"copied": log.signals["copied"], "thanked": 0.0})
    columns = check_columns(log.X, signals=given)
    with pytest.warns(ex.AssumptionWarning, match="'thanked' happens in 0 of 5000") as caught:
        signals, sources = take_signals(log.y, columns)
    assert caught[0].message.code == "constant-signal"
    assert signals.names == ("copied",)
    assert sources == {"signals": "used"}
    never = check_columns(log.X, signals=given[["thanked"]])
    signals, sources = take_signals(log.y, never)
    assert signals is None
    assert sources["signals"].startswith("not used")


BAD_SIGNALS = {
    "no columns": (np.zeros((3, 1)), None, ex.InvalidInputError, "named"),
    "twice": ({1: [1, 0, 0], "1": [1, 0, 1]}, None, ex.InvalidInputError, "share the name '1'"),
    "a judge": ({"judge_score": [1, 0, 0]}, None, ex.InvalidInputError, "pass it as judge_score"),
    "none": ({}, None, ex.InvalidInputError, "no column"),
    "length": ({"copied": [1, 0]}, None, ex.FeedbackError, "2 values for 3 rows"),
    "values": ({"copied": [1, 0, 0.5]}, None, ex.InvalidInputError, "1 values other"),
    "no direction": ({"saved": [1, 0, 0]}, None, ex.InvalidInputError, "no direction"),
    "wrong direction": (
        {"saved": [1, 0, 0]}, {"saved": "up"}, ex.InvalidInputError, "'up', but must"
    ),
    "unknown direction": (
        {"copied": [1, 0, 0]}, {"saved": "positive"}, ex.InvalidInputError, "names 'saved'"
    ),
}  # fmt: skip


class TestInput:
    def test_forms(self):
        expected = np.array([[1, 0], [0, np.nan], [1, 1]])
        columns = {"copied": [True, False, True], "regenerated": [0, None, 1]}
        frame = pd.DataFrame({"copied": [1, 0, 1], "regenerated": pd.array([0, None, 1], "Int8")})
        for given in (columns, frame):
            found = check_signals(given, None, 3)
            assert found.names == ("copied", "regenerated")
            np.testing.assert_array_equal(found.values, expected)
            np.testing.assert_array_equal(found.directions, [1, -1])
        named = check_signals({"saved": [1, 0, 1]}, {"saved": "negative"}, 3)
        assert named.directions == [-1]

    @pytest.mark.parametrize("case", BAD_SIGNALS)
    def test_bad(self, case):
        signals, directions, error, message = BAD_SIGNALS[case]
        with pytest.raises(error, match=message):
            check_signals(signals, directions, 3)


@quiet
def test_rewards_and_sensitivity_use_signals(log, models):
    reward = CausalRewardRegressor(SelectionModel(random_state=0)).fit(
        log.X, log.y, signals=log.signals
    )
    model = reward.nuisances_.selection_model
    np.testing.assert_allclose(model.oof_probability_, models["signals"].oof_probability_)
    rates = [
        sensitivity_analysis(models["signals"], log.X, log.y, selection_log_odds=0, **given)
        for given in ({}, {"signals": log.signals})
    ]
    assert abs(rates[0]["base_rate"][0] - rates[1]["base_rate"][0]) > 0.005


@quiet
def test_signals_are_routed_and_split_with_the_rows(log):
    rows = slice(0, 1500)
    y = log.y[rows]
    with config_context(enable_metadata_routing=True):
        scores = cross_val_score(
            CausalRewardClassifier(random_state=0),
            log.X[rows],
            y,
            cv=KFold(2),
            params={"signals": log.signals[rows], "users": log.users[rows]},
            error_score="raise",
        )
    assert np.isfinite(scores).all()


@quiet
def test_methods_that_use_no_signals_say_so(log):
    with pytest.raises(ex.UnusedParameterError, match="signals was given"):
        CausalRewardRegressor("naive").fit(log.X, log.y, signals=log.signals)
    few = np.where(np.arange(len(log.y)) < 150, log.y, np.nan)
    with pytest.warns(ex.MethodFallbackWarning, match="and signals were not used"):
        CausalRewardRegressor().fit(log.X, few, signals=log.signals)


class TestJudge:
    """A judge's score as one more signal, which has nothing to do with who rates."""

    def test_a_good_one_tells_the_level(self, log, models):
        rng = np.random.default_rng(0)
        score = expit(3 * log.reward - 1.5 + 1.5 * rng.standard_normal(len(log.y)))
        model = fitted(log, judge_score=score)
        assert model.level_source_ == {"judge_score": "used"}
        assert model.base_rate_std_ < 0.7 * models["alone"].base_rate_std_
        low, high = model.base_rate_interval_
        assert low < log.probability.mean() < high
        mean, sd = model.signal_log_odds_["judge_score"]
        assert mean > 4 * sd
        assert model.signal_dependence_["judge_score"] == {"rating": (0.0, 0.0)}

    def test_next_to_other_signals(self, log):
        model = fitted(log, judge_score=log.probability, signals=log.signals, users=log.users)
        assert set(model.level_source_) == {"judge_score", "signals", "users"}
        dependence = model.signal_dependence_["judge_score"]
        assert dependence == dict.fromkeys(("rating", "copied", "regenerated"), (0.0, 0.0))
        assert model.signal_dependence_["regenerated"]["copied"][1] > 0

    def test_only_its_upper_half_counts(self, log):
        """Any scale will do; ties of a coarse one go where the halves are less unequal."""
        score = np.random.default_rng(0).permutation(np.repeat([1.0, 2, 3, 4, 5], 1000))
        score[score == 3] = 4.0
        columns = check_columns(log.X, judge_score=score)
        signals, _ = take_signals(log.y, columns)
        np.testing.assert_array_equal(signals.values[:, 0], score >= 4)
        stretched, _ = take_signals(log.y, check_columns(log.X, judge_score=np.exp(score)))
        np.testing.assert_array_equal(stretched.values, signals.values)

    def test_rows_without_weight_do_not_move_the_cut(self, log):
        score = np.random.default_rng(0).random(len(log.y))
        weightless = np.arange(len(score)) % 2 == 0
        columns = check_columns(
            log.X,
            judge_score=np.where(weightless, -1.0, score),
            sample_weight=np.where(weightless, 0.0, 1.0),
        )
        values = take_signals(log.y, columns)[0].values[:, 0]
        assert values[~weightless].mean() == pytest.approx(0.5, abs=0.001)

    @quiet
    def test_sensitivity_reads_it(self, log, models):
        rows = slice(0, 2000)
        X, y, score = log.X[rows], log.y[rows], log.reward[rows].astype(float)
        alone, judged = (
            sensitivity_analysis(models["alone"], X, y, selection_log_odds=0, **given)
            for given in ({}, {"judge_score": score})
        )
        assert judged["log_evidence"].notna().all()
        assert abs(judged["base_rate"][0] - alone["base_rate"][0]) > 0.005

    def test_one_that_never_varies_is_left_out(self, log):
        columns = check_columns(log.X, judge_score=np.full(len(log.y), 0.5))
        with pytest.warns(ex.AssumptionWarning, match="'judge_score' happens in"):
            signals, sources = take_signals(log.y, columns)
        assert signals is None
        assert sources["judge_score"].startswith("not used")

    @quiet
    def test_auto_takes_it_and_snips_refuses(self, log):
        rows = slice(0, 2000)
        X, y, score = log.X[rows], log.y[rows], log.probability[rows]
        model = CausalRewardRegressor(random_state=0).fit(X, y, judge_score=score)
        assert model.method_ == "selection"
        assert model.nuisances_.selection_model.level_source_ == {"judge_score": "used"}
        with pytest.raises(ex.UnusedParameterError, match="choose one of 'dr', 'selection'"):
            CausalRewardRegressor("snips").fit(X, y, judge_score=score)


class TestGenerator:
    def test_shares_are_as_documented(self):
        log = make_observational_feedback(
            40_000, 4, signals=("thanked", "copied", "regenerated"), random_state=0
        )
        means = log.signals.groupby(log.reward).mean().to_numpy()
        expected = [[0.03, 0.08, 0.28], [0.12, 0.30, 0.06]]
        np.testing.assert_allclose(means, expected, atol=0.01)
        assert make_observational_feedback(100, 4, random_state=0).signals is None

    def test_dependence_beyond_the_reward(self):
        def together(dependence):
            log = make_observational_feedback(
                20_000, 4, signals=("copied", "thanked"), signal_dependence=dependence,
                random_state=0,
            )  # fmt: skip
            return np.corrcoef(log.signals[log.reward == 1].T)[0, 1]

        assert abs(together(0.0)) < 0.03 < 0.1 < together(1.0)

    def test_unknown_signals(self):
        with pytest.raises(ValueError, match="are unknown"):
            make_observational_feedback(100, 4, signals=("liked",))


def test_directions_of_no_signals_are_an_error(log):
    with pytest.raises(ex.InvalidInputError, match="signal_directions is given without signals"):
        SelectionModel().fit(log.X, log.y, signal_directions={"saved": "positive"})


def test_a_signal_of_words_is_an_error(log):
    words = pd.DataFrame({"copied": np.where(log.y == 1, "yes", "no")})
    with pytest.raises(ex.InvalidInputError, match="no number"):
        SelectionModel().fit(log.X, log.y, signals=words)
