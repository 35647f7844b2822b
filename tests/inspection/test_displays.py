"""Displays: their data against a direct computation, the axes they draw on, and their errors."""

import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import trapezoid

from skcausalrm import CausalRewardRegressor, NoiseOnly, PropensityEstimator, SelectionModel
from skcausalrm.datasets import make_observational_feedback
from skcausalrm.exceptions import FeedbackError, GroupsError, InvalidInputError, MissingExtraError
from skcausalrm.inspection import (
    BalanceDisplay,
    BaseRateDisplay,
    CalibrationDisplay,
    DriftDisplay,
    HabitDisplay,
    OverlapDisplay,
    SensitivityDisplay,
    TransitionDisplay,
    WeightsDisplay,
    sensitivity_analysis,
    tipping_point,
    watch,
)
from skcausalrm.metrics import effective_sample_size
from skcausalrm.nuisances import NoiseTransitionEstimator

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
pyplot = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def _no_figure_is_left():
    before = dict(matplotlib.rcParams)
    yield
    pyplot.close("all")
    assert dict(matplotlib.rcParams) == before


@pytest.fixture(scope="module")
def log():
    return make_observational_feedback(1500, 4, selection="reward", n_verified=50, random_state=0)


@pytest.fixture(scope="module")
def selection(log):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return SelectionModel(random_state=0).fit(log.X, log.y, verified=log.verified)


@pytest.fixture(scope="module")
def propensity(log):
    return PropensityEstimator(random_state=0).fit(log.X, ~np.isnan(log.y))


@pytest.fixture
def ax():
    return pyplot.figure().add_axes((0.1, 0.1, 0.8, 0.8))


def texts(ax):
    """Return the texts of the legend."""
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_base_rate_density_is_the_models_posterior(log, selection, ax):
    display = BaseRateDisplay.from_estimator(selection, verified=log.verified, ax=ax)
    assert (display.ax_, display.figure_) == (ax, ax.figure)
    rate, density = display.rate, display.density
    below = np.r_[0, np.cumsum(np.diff(rate) * (density[1:] + density[:-1]) / 2)]
    assert below[-1] == pytest.approx(1)
    low, high = np.interp([0.05, 0.95], below, rate)
    assert (low, high) == pytest.approx(selection.base_rate_interval_, abs=0.01)
    mean = trapezoid(rate * density, rate)
    assert mean == pytest.approx(selection.base_rate_, abs=0.005)
    judged = log.verified[~np.isnan(log.verified)]
    assert display.verified_rate[::3] == (judged.mean(), len(judged))
    assert any("told by verified rows" in text for text in texts(ax))
    assert any(f"50 verified rows alone: {judged.mean():.0%}" in text for text in texts(ax))


def test_base_rate_of_a_reward_is_that_of_its_selection_model(log):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reward = CausalRewardRegressor(random_state=0).fit(log.X[:700], log.y[:700])
        known = SelectionModel(base_rate=(0.3, 1e-3), random_state=0).fit(log.X[:700], log.y[:700])
    display = BaseRateDisplay.from_estimator(reward)
    assert display.base_rate == reward.nuisances_.selection_model.base_rate_
    assert display.verified_rate is None
    assert any("form alone" in text for text in texts(display.ax_))
    narrow = BaseRateDisplay.from_estimator(known)
    assert np.isfinite(narrow.density).all()
    assert narrow.rate[narrow.density.argmax()] == pytest.approx(0.3, abs=0.01)


def test_a_reward_without_a_selection_model_has_no_base_rate(log):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        naive = CausalRewardRegressor("naive", random_state=0).fit(log.X, log.y)
    with pytest.raises(
        InvalidInputError, match=r"CausalRewardRegressor fitted by 'naive' has none"
    ):
        BaseRateDisplay.from_estimator(naive)
    with pytest.raises(InvalidInputError, match="'naive' has none: fit PropensityEstimator"):
        OverlapDisplay.from_estimator(naive, log.X, log.y)


def test_overlap_counts_rows_and_weights(log, propensity, ax):
    e, rated = propensity.oof_propensity_, ~np.isnan(log.y)
    display = OverlapDisplay.from_predictions(e, log.y, bound=0.2, ax=ax)
    assert display.share_below == np.mean(e <= 0.2)
    assert display.effective_sample_size == pytest.approx(propensity.effective_sample_size_)
    bars = [patch for patch in ax.patches if hasattr(patch, "get_height")]
    assert sum(bar.get_height() for bar in bars) == pytest.approx(1)
    assert any(text.startswith(f"{rated.sum():,} rated") for text in texts(ax))
    weight = np.random.default_rng(0).integers(0, 3, len(e))
    weighted = OverlapDisplay.from_predictions(e, log.y, sample_weight=weight, bound=0.2)
    assert weighted.share_below == pytest.approx(np.mean(np.repeat(e, weight) <= 0.2))
    assert weighted.effective_sample_size == effective_sample_size((weight / e)[rated])


def test_overlap_takes_a_rewards_propensities_and_any_labels(log, propensity):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reward = CausalRewardRegressor("dr", random_state=0).fit(log.X, log.y)
    labels = np.where(np.isnan(log.y), None, np.where(log.y == 1, "up", "down"))
    for model in (reward, propensity):
        display = OverlapDisplay.from_estimator(model, log.X, labels)
        inner = getattr(model, "nuisances_", None)
        of = propensity if inner is None else inner.propensity_estimator
        np.testing.assert_array_equal(display.propensity, of.predict_propensity(log.X))
        assert display.rated.sum() == (~np.isnan(log.y)).sum()


def test_weights_and_balance_take_a_rewards_propensities(log, propensity):
    rated = ~np.isnan(log.y)
    weights = WeightsDisplay.from_estimator(propensity, log.X, log.y)
    e = propensity.predict_propensity(log.X)
    assert rated[weights.rows].all()
    np.testing.assert_allclose(weights.weight, np.sort(1 / e[rated])[::-1])
    np.testing.assert_allclose(weights.weight, 1 / e[weights.rows])
    assert weights.effective_sample_size == pytest.approx(effective_sample_size(1 / e[rated]))
    heaviest = weights.weight[: len(weights.weight) // 2].sum() / weights.weight.sum()
    half = (len(weights.weight) // 2) / len(weights.weight)
    assert weights.share_of_weight(half) == pytest.approx(heaviest)
    balance = BalanceDisplay.from_estimator(propensity, log.X, log.y)
    assert balance.effective_sample_size == weights.effective_sample_size
    naive = CausalRewardRegressor("naive", random_state=0).fit(log.X[rated], log.y[rated])
    for display in (BalanceDisplay, WeightsDisplay):
        with pytest.raises(InvalidInputError, match=f"{display.__name__} needs propensities"):
            display.from_estimator(naive, log.X, log.y)


def test_weights_multiply_sample_weights(log, propensity, ax):
    e, rated = propensity.oof_propensity_, ~np.isnan(log.y)
    times = np.random.default_rng(0).integers(0, 3, len(e))
    found = WeightsDisplay.from_predictions(e, log.y, sample_weight=times, ax=ax)
    assert (found.ax_, found.figure_) == (ax, ax.figure)
    np.testing.assert_allclose(found.weight, np.sort((times / e)[rated])[::-1])
    equal = WeightsDisplay.from_predictions(np.full(8, 0.25), [1.0, 0.0] * 4)
    assert equal.effective_sample_size == 8
    assert equal.share_of_weight(0.3) == pytest.approx(0.3)


def test_balance_is_the_difference_of_means_along_components(log, propensity, ax):
    """Along the axes: X is rotated there, so that components are columns, by falling variance."""
    rng = np.random.default_rng(0)
    X = np.linalg.qr(rng.normal(size=(800, 3)))[0] * [30, 20, 10]
    X -= X.mean(axis=0)
    X = X @ np.linalg.eigh(X.T @ X)[1][:, ::-1]
    e = rng.uniform(0.2, 1, 800)
    y = np.where(rng.random(800) < e, 1.0, np.nan)
    rated = ~np.isnan(y)
    found = BalanceDisplay.from_predictions(e, X, y, ax=ax)
    before = X[rated].mean(axis=0) / X.std(axis=0)
    after = np.average(X[rated], axis=0, weights=1 / e[rated]) / X.std(axis=0)
    np.testing.assert_allclose(np.abs(found.before), np.abs(before), atol=1e-6)
    np.testing.assert_allclose(np.abs(found.after), np.abs(after), atol=1e-6)
    np.testing.assert_allclose(found.variance_ratio, X.var(axis=0) / X.var(axis=0).sum())
    assert [text.get_text()[0] for text in ax.get_yticklabels()] == ["1", "2", "3"]
    twice = BalanceDisplay.from_predictions(np.r_[e, e], np.r_[X, X], np.r_[y, y])
    weighted = BalanceDisplay.from_predictions(e, X, y, sample_weight=np.full(800, 2.0))
    np.testing.assert_allclose(twice.after, weighted.after, atol=1e-9)


def test_balance_needs_columns_that_vary():
    for X, kept in ((np.ones((6, 2)), 0), (np.c_[np.arange(6.0), np.ones(6)], 1)):
        given = np.full(6, 0.5), X, np.ones(6)
        if kept:
            assert len(BalanceDisplay.from_predictions(*given).after) == kept
        else:
            with pytest.raises(InvalidInputError, match="All 6 rows of X are equal"):
                BalanceDisplay.from_predictions(*given)
    with pytest.raises(InvalidInputError, match="n_components is 0"):
        BalanceDisplay.from_predictions(*given, n_components=0)


def test_overlap_without_unrated_rows_and_without_rated_ones():
    display = OverlapDisplay.from_predictions(np.full(5, 0.5), np.ones(5))
    assert display.effective_sample_size == 5
    with pytest.raises(FeedbackError, match="None of the 5 rows has feedback"):
        OverlapDisplay.from_predictions(np.full(5, 0.5), np.full(5, np.nan))
    with pytest.raises(InvalidInputError, match="outside"):
        OverlapDisplay.from_predictions(np.zeros(5), np.ones(5))


@pytest.fixture(scope="module")
def outcomes():
    rng = np.random.default_rng(0)
    reward = rng.random(400).round(3)
    return reward + rng.normal(0, 0.3, 400), reward


def test_calibration_bins_are_means_of_outcomes(outcomes, ax):
    z, reward = outcomes
    display = CalibrationDisplay.from_predictions(z, reward, n_bins=4, ax=ax)
    assert display.figure_ is ax.figure
    bins = np.searchsorted(np.quantile(reward, [0.25, 0.5, 0.75]), reward)
    for k in range(4):
        mine = bins == k
        assert display.n_rows[k] == mine.sum()
        assert display.reward[k] == pytest.approx(reward[mine].mean())
        assert display.outcome[k] == pytest.approx(z[mine].mean())
        half = 1.6449 * z[mine].std() / mine.sum() ** 0.5
        assert display.high[k] - display.low[k] == pytest.approx(2 * half, rel=0.01)
    assert np.isclose(display.rows_ax_.patches[0].get_x(), reward.min())
    assert sum(bar.get_height() for bar in display.rows_ax_.patches) == 400


def test_calibration_intervals_hold_clusters_and_open_draws(outcomes):
    z, reward = outcomes
    alone = CalibrationDisplay.from_predictions(z, reward, n_bins=3)
    twice = [np.repeat(column, 2) for column in (z, reward)]
    users = np.repeat(np.arange(400), 2)
    clustered = CalibrationDisplay.from_predictions(*twice, n_bins=3, users=users)
    np.testing.assert_allclose(clustered.low, alone.low, atol=1e-3)
    open_z = z[:, None] + np.linspace(-0.2, 0.2, 21)
    wide = CalibrationDisplay.from_predictions(open_z, reward, n_bins=3)
    np.testing.assert_allclose(wide.outcome, alone.outcome)
    assert (wide.high - wide.low > 0.25).all()
    weight = np.random.default_rng(1).integers(1, 4, 400)
    weighted = CalibrationDisplay.from_predictions(z, reward, n_bins=1, sample_weight=weight)
    assert weighted.outcome == pytest.approx(np.average(z, weights=weight))


def test_calibration_of_equal_rewards_few_rows_and_means_beyond_one():
    reward = np.repeat([0.9, 0.6], [150, 50])
    display = CalibrationDisplay.from_predictions(np.ones(200) * 1.2, reward)
    assert display.n_rows.tolist() == [50, 150]
    assert display.outcome == pytest.approx([1.2, 1.2])
    assert "mean beyond 0 or 1" in texts(display.ax_)
    few = CalibrationDisplay.from_predictions(np.arange(30) / 30, np.arange(30) / 30)
    assert few.n_rows.tolist() == [30]


def test_calibration_reads_estimators_and_refuses_raw_feedback(log, selection):
    z = selection.oof_posterior_
    display = CalibrationDisplay.from_estimator(selection, log.X, z, n_bins=2)
    np.testing.assert_array_equal(display.prediction, selection.predict_proba(log.X)[:, 1])
    with pytest.raises(InvalidInputError, match="not raw feedback"):
        CalibrationDisplay.from_estimator(selection, log.X, log.y)
    with pytest.raises(InvalidInputError, match="n_bins is 0"):
        CalibrationDisplay.from_predictions(z, z, n_bins=0)
    with pytest.raises(InvalidInputError, match="cannot predict"):
        CalibrationDisplay.from_estimator(object(), log.X, z)
    with pytest.raises(GroupsError, match="at least two"):
        CalibrationDisplay.from_predictions(z, z, groups=np.zeros(len(z)))


def test_habits_of_users(ax):
    users = np.array(["a"] * 10 + ["b"] * 20 + ["c"] * 5 + [None] * 3, dtype=object)
    y = np.full(38, np.nan)
    y[:5], y[10:11], y[30:32], y[35:] = 1, 0, 1, 0
    display = HabitDisplay.from_feedback(y, users, ax=ax)
    assert display.ax_ is ax
    assert display.n_rated.tolist() == [5, 2, 1]
    assert display.share_rated == pytest.approx([0.5, 0.4, 0.05])
    assert display.share_of_ratings(1 / 3) == pytest.approx(5 / 8)
    assert display.n_unknown == 3
    assert "3 rows without one" in ax.get_xlabel()
    with pytest.raises(GroupsError, match="missing in all 38"):
        HabitDisplay.from_feedback(y, [None] * 38)
    with pytest.raises(FeedbackError, match="None of the 35 rows with a user"):
        HabitDisplay.from_feedback(np.where(np.arange(38) < 35, np.nan, 1.0), users)


def test_sensitivity_shows_the_table_in_its_order(ax):
    small = make_observational_feedback(400, 3, selection="reward", n_verified=40, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = SelectionModel(random_state=0).fit(small.X, small.y, verified=small.verified)
        columns = {"verified": small.verified, "rows": slice(50)}
        display = SensitivityDisplay.from_estimator(
            model, small.X, small.y, selection_log_odds=[1, 0], ax=ax, **columns
        )
        table = sensitivity_analysis(model, small.X, small.y, selection_log_odds=[0, 1], **columns)
    assert display.figure_ is ax.figure
    np.testing.assert_allclose(display.table, table)
    (evidence,) = display.evidence_ax_.lines
    np.testing.assert_allclose(evidence.get_xydata(), table[["selection_log_odds", "log_evidence"]])
    with pytest.raises(InvalidInputError, match="lacks mean_reward: pass what"):
        SensitivityDisplay.from_table(table.drop(columns="mean_reward"))
    with pytest.raises(InvalidInputError, match="has no row"):
        SensitivityDisplay.from_table(table[:0])
    level = table["mean_reward"].mean()
    marked = SensitivityDisplay.from_table(table, threshold=level).ax_
    turn = tipping_point(table, threshold=level).selection_log_odds
    assert f"the decision turns at {turn:.2f}" in texts(marked)
    beyond = SensitivityDisplay.from_table(table.assign(versus_mean_reward=0.01)).ax_
    assert "mean reward of the other rows" in texts(beyond)
    assert not any("turns" in text for text in texts(beyond))


def made_table(reward, versus=None, evidence=None):
    table = pd.DataFrame({"selection_log_odds": np.arange(len(reward)) - 1.0})
    table = table.assign(mean_reward=reward, log_evidence=0.0 if evidence is None else evidence)
    return table if versus is None else table.assign(versus_mean_reward=versus)


@pytest.mark.parametrize("seed", range(5))
def test_tipping_point_is_where_the_margin_is_zero(seed):
    rng = np.random.default_rng(seed)
    table = made_table(np.sort(rng.random(6))[::-1], rng.random(6), -rng.random(6))
    found = tipping_point(table.sample(frac=1, random_state=0))
    x, margin = table["selection_log_odds"], table["mean_reward"] - table["versus_mean_reward"]
    best = table["log_evidence"].idxmax()
    assert (found.best, found.margin) == (x[best], pytest.approx(margin[best]))
    if np.isnan(found.selection_log_odds):
        assert found.evidence_lost == np.inf
        assert (np.sign(margin) == np.sign(margin[0])).all()
    else:
        assert np.interp(found.selection_log_odds, x, margin) == pytest.approx(0, abs=1e-9)
        near = np.linspace(x[best], found.selection_log_odds, 50)[:-1]
        assert (np.sign(np.interp(near, x, margin)) == np.sign(margin[best])).all()


def test_tipping_point_on_the_grid_and_without_what_decides():
    table = made_table([0.7, 0.5, 0.4], evidence=[-3.0, -1.0, 0.0])
    assert tipping_point(table, threshold=0.5) == (0.0, 1.0, -0.1, 1.0)
    with pytest.raises(InvalidInputError, match=r"lacks versus_mean_reward: .* threshold="):
        tipping_point(table)
    with pytest.raises(InvalidInputError, match="has no row"):
        tipping_point(table[:0], threshold=0.5)


def test_transitions_and_their_intervals(log, selection, ax):
    display = TransitionDisplay.from_estimator(selection, ax=ax)
    f, f_std = selection.false_positive_rate_, selection.false_positive_rate_std_
    assert display.matrix.sum(axis=1) == pytest.approx([1, 1])
    assert display.matrix[0, 1] == f
    assert display.matrix[1, 0] == selection.false_negative_rate_
    low, high = max(f - 1.6449 * f_std, 0), f + 1.6449 * f_std
    assert display.intervals[0, 1] == pytest.approx([low, high])
    assert display.intervals[0, 0] == pytest.approx([1 - high, 1 - low])
    assert f"{f:.1%}\n({low:.1%} to {high:.1%})" in [text.get_text() for text in ax.texts]


def test_transitions_of_rewards(log):
    noise = NoiseTransitionEstimator(false_positive_rate=0.1, false_negative_rate=0.2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        known, naive = (
            CausalRewardRegressor(method, random_state=0).fit(log.X, log.y)
            for method in (NoiseOnly(noise_estimator=noise), "naive")
        )
    display = TransitionDisplay.from_estimator(known)
    np.testing.assert_allclose(display.matrix, [[0.9, 0.1], [0.2, 0.8]])
    assert "10.0%\n(known)" in [text.get_text() for text in display.ax_.texts]
    with pytest.raises(InvalidInputError, match="'naive' has none: fit NoiseTransitionEstimator"):
        TransitionDisplay.from_estimator(naive)


@pytest.fixture(scope="module")
def weeks():
    """z, reward, feedback and times of 20 weeks; from the twelfth on fewer are rated."""
    rng = np.random.default_rng(0)
    week = np.repeat(np.arange(20), 60)
    y = np.where(rng.random(1200) < np.where(week < 12, 0.5, 0.15), 1.0, np.nan)
    times = pd.Series(pd.Timestamp("2026-01-05", tz="UTC") + 7 * pd.to_timedelta(week, "D"))
    return rng.random((1200, 3)), rng.random(1200), y, times


def test_drift_shows_what_is_watched(weeks, ax):
    display = DriftDisplay.from_predictions(*weeks, ax=ax)
    found = watch(*weeks)
    assert display.watched == found
    assert display.figure_ is ax.figure
    line = display.rated_ax_.lines[0].get_xydata()
    shares = (~np.isnan(weeks[2])).reshape(20, 60).mean(axis=1)
    np.testing.assert_allclose(line, np.column_stack([np.arange(20), shares]))
    moved = next(text for text in texts(display.rated_ax_) if "moved" in text)
    by = 100 * found["changes"]["share_rated"]["change"]
    assert moved == f"share rated moved by {by:+.1f} points"
    level = display.ax_.lines[1].get_xydata()
    known = [place for place, period in enumerate(found["periods"]) if period["level"]]
    assert level[:, 0].tolist() == known
    assert 12 <= len(known) < 20  # weeks with under 20 ratings have no level
    again = DriftDisplay.from_watched(found)
    assert texts(again.ax_) == texts(display.ax_)


def test_watch_reads_dates_of_any_kind_and_leaves_out_rows_without(weeks):
    z, prediction, y, times = weeks
    expected = watch(z, prediction, y, times, fail_below=0.9)
    assert expected["shortfall"]["alarm"]
    for same in (times.dt.tz_localize(None).to_numpy(), times.dt.strftime("%Y-%m-%d").tolist()):
        assert watch(z, prediction, y, same, fail_below=0.9) == expected
    mixed = [f"{t:%Y-%m-%d %H:%M}" if i % 2 else f"{t:%d %B %Y}" for i, t in enumerate(times)]
    assert watch(z, prediction, y, mixed, fail_below=0.9) == expected
    partly = times.mask(np.arange(1200) < 60)
    found = watch(z[:, 0], prediction, y, partly)
    assert found["periods"][0]["name"] == "2026-01-12"
    assert (found["rows_without_time"], found["rows_left_out"]) == (60, 0)
    assert sum(period["rows"] for period in found["periods"]) == 1140


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"times": ["2026-01-05"]}, "times has 1 values for 1200 rows"),
        ({"times": ["someday"] * 1200}, "times holds what is neither a date nor a number"),
        ({"times": np.arange(1200)}, "times holds numbers, which have no calendar"),
        ({"times": list(range(1200))}, "times holds numbers, which have no calendar"),
        ({"y": ["good"] * 1200}, "y holds what is no number"),
        ({"period": "fortnight"}, "period is 'fortnight'"),
        ({"false_alarms": 0}, "false_alarms is 0"),
        ({"fail_below": 70}, "fail_below is 70"),
    ],
)
def test_watch_refuses_what_it_cannot_read(weeks, changed, sentence):
    given = dict(zip(("z", "prediction", "y", "times"), weeks, strict=True)) | changed
    with pytest.raises((InvalidInputError, FeedbackError), match=sentence):
        watch(**given)
    with pytest.raises(InvalidInputError, match="10 wait for more: choose longer periods"):
        DriftDisplay.from_predictions(*(part[:10] for part in weeks))


def test_text_follows_the_style_of_the_axes(outcomes):
    """A display that is drawn after the context of a dark style has ended stays readable."""
    with pyplot.style.context("dark_background"):
        _, (one, two) = pyplot.subplots(2)
    legend = HabitDisplay.from_feedback([1.0, np.nan], ["a", "b"], ax=one).ax_.get_legend()
    display = CalibrationDisplay.from_predictions(*outcomes, ax=two)
    found = [*legend.get_texts(), *display.ax_.get_yticklabels(), display.ax_.title]
    found += [display.rows_ax_.xaxis.label, *display.ax_.get_legend().get_texts()]
    for text in found:
        assert matplotlib.colors.same_color(text.get_color(), "white"), text
    assert matplotlib.colors.same_color(display.ax_.get_facecolor(), two.get_facecolor())


def test_without_matplotlib_the_extra_is_named_before_any_refit(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"skcausalrm\[plot\]"):
        SensitivityDisplay.from_estimator(None, None, None, selection_log_odds=[0])
    with pytest.raises(MissingExtraError, match=r"skcausalrm\[plot\]"):
        HabitDisplay.from_feedback([1.0, np.nan], ["a", "b"])
