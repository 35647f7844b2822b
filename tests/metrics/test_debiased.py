import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from skcausalrm import metrics as m
from skcausalrm.exceptions import AssumptionWarning, FeedbackError, GroupsError, InvalidInputError
from skcausalrm.metrics._estimate import estimate, estimate_difference
from skcausalrm.metrics._metric import METRICS

WITHIN = m.debiased_within_roc_auc_score  # the one that needs groups
SCORES = [score for score in METRICS.values() if score is not WITHIN]


@st.composite
def labelled(draw):
    """Labels of both classes, predictions with many ties, weights (some zero) or none."""
    n = draw(st.integers(4, 40))
    r = np.array(draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)))
    f = np.array(draw(st.lists(st.integers(0, 10), min_size=n, max_size=n))) / 10
    weight = draw(
        st.none() | st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0]), min_size=n, max_size=n)
    )
    weight = None if weight is None else np.array(weight)
    w = np.ones(n) if weight is None else weight
    assume(w.sum() > 0 and 0.02 < np.average(r, weights=w) < 0.98)
    return r, f, weight


@given(labelled())
@settings(max_examples=60, deadline=None)
def test_equal_scikit_learn_on_complete_labels(data):
    r, f, w = data
    kw = {"sample_weight": w}
    assert m.debiased_mse(r, f, **kw) == pytest.approx(sk.mean_squared_error(r, f, **kw))
    assert m.debiased_brier_score(r, f, **kw) == pytest.approx(sk.brier_score_loss(r, f, **kw))
    assert m.debiased_log_loss(r, f, **kw) == pytest.approx(sk.log_loss(r, f, labels=[0, 1], **kw))
    assert m.debiased_roc_auc_score(r, f, **kw) == pytest.approx(sk.roc_auc_score(r, f, **kw))
    assert m.debiased_r2_score(r, f, **kw) == pytest.approx(sk.r2_score(r, f, **kw), abs=1e-9)
    accuracy = sk.accuracy_score(r, f > 0.5, **kw)
    assert m.debiased_accuracy_score(r, f, **kw) == pytest.approx(accuracy)
    assert m.debiased_accuracy_score(r, f > 0.5, **kw) == pytest.approx(accuracy)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_log_loss_of_sure_and_wrong_predictions_equals_scikit_learn(dtype):
    r, f = np.array([0, 1, 1]), np.array([1, 0, 1], dtype)
    assert m.debiased_log_loss(r, f) == pytest.approx(sk.log_loss(r, f), rel=1e-3)


def pseudo_outcomes_of(rng, r):
    """DR-like pseudo-outcomes: unbiased for r, far outside [0, 1] on rated rows."""
    e = rng.uniform(0.2, 0.8, len(r))
    s = np.where(rng.random(len(r)) < np.where(r == 1, 0.2, 0.1), 1 - r, r)
    return 0.4 + (rng.random(len(r)) < e) * ((s - 0.1) / 0.7 - 0.4) / e


def test_roc_auc_and_its_error_are_the_sums_over_pairs():
    rng = np.random.default_rng(0)
    n = 60
    f = rng.integers(0, 8, n) / 8
    r = (rng.random(n) < f).astype(float)
    z, w, g = pseudo_outcomes_of(rng, r), rng.uniform(0.5, 2, n), rng.integers(0, 20, n)
    kernel = np.where(f[:, None] > f, 1.0, np.where(f[:, None] == f, 0.5, 0.0))
    pairs = np.outer(w * z, w * (1 - z))
    np.fill_diagonal(pairs, 0)
    auc = (pairs * kernel).sum() / pairs.sum()
    centred = pairs * (kernel - auc) / pairs.sum()
    influence = centred.sum(axis=0) + centred.sum(axis=1)
    by_group = np.array([influence[g == k].sum() for k in np.unique(g)])
    std = np.sqrt((by_group**2).sum() * len(by_group) / (len(by_group) - 1))
    assert m.debiased_roc_auc_score(
        z, f, sample_weight=w, groups=g, return_std=True
    ) == pytest.approx((auc, std))


def test_roc_auc_within_groups_is_the_sums_over_their_pairs():
    rng = np.random.default_rng(2)
    n = 80
    f = rng.integers(0, 5, n) / 5
    r = (rng.random(n) < f).astype(float)
    z, w, g = pseudo_outcomes_of(rng, r), rng.uniform(0.5, 2, n), rng.integers(0, 20, n)
    kernel = np.where(f[:, None] > f, 1.0, np.where(f[:, None] == f, 0.5, 0.0))
    pairs = np.outer(w * z, w * (1 - z)) * (g[:, None] == g)
    np.fill_diagonal(pairs, 0)
    auc = (pairs * kernel).sum() / pairs.sum()
    centred = pairs * (kernel - auc) / pairs.sum()
    by_group = np.bincount(g, centred.sum(axis=0))
    std = np.sqrt((by_group**2).sum() * len(by_group) / (len(by_group) - 1))
    assert WITHIN(z, f, sample_weight=w, groups=g, return_std=True) == pytest.approx((auc, std))
    assert WITHIN(z, f, sample_weight=w, groups=g) == pytest.approx(auc)
    assert WITHIN(z, f, groups=np.zeros(n)) == pytest.approx(m.debiased_roc_auc_score(z, f))
    # On labels: the mean of the groups' own AUROCs, by their pairs of a good and a bad row.
    own, weight = [], []
    for k in np.unique(g):
        if 0 < r[g == k].mean() < 1:
            own.append(sk.roc_auc_score(r[g == k], f[g == k]))
            weight.append(r[g == k].sum() * (1 - r[g == k]).sum())
    assert len(own) < len(np.unique(g))  # groups of one class do not count
    assert WITHIN(r, f, groups=g) == pytest.approx(np.average(own, weights=weight))


def test_error_of_roc_auc_within_groups_counts_what_a_user_shares_between_them():
    rng = np.random.default_rng(5)
    g, u = np.repeat(np.arange(40), 4), rng.integers(0, 12, 160)
    f = rng.random(160)
    z, w = pseudo_outcomes_of(rng, (rng.random(160) < f).astype(float)), rng.uniform(0.5, 2, 160)
    i, j = np.nonzero(g[:, None] == g)
    good, bad = i[i != j], j[i != j]
    pairs = w[good] * z[good] * w[bad] * (1 - z[bad])
    value = np.average(f[good] > f[bad], weights=pairs)
    error = pairs * ((f[good] > f[bad]) - value) / pairs.sum()
    # A pair is of its group, of the user of its good row, and of that of the bad one if another.
    table = np.bincount(g[good] * 12 + u[good], error, 480)
    other = u[good] != u[bad]
    table += np.bincount((g[good] * 12 + u[bad])[other], error[other], 480)
    cells = len(np.unique(g * 12 + u))
    variance = (np.bincount(g[good], error) ** 2).sum() * 40 / 39
    variance += (table.reshape(40, 12).sum(axis=0) ** 2).sum() * 12 / 11
    variance -= (table**2).sum() * cells / (cells - 1)
    assert variance > 0
    assert WITHIN(z, f, groups=g, users=u, sample_weight=w, return_std=True) == pytest.approx(
        (value, variance**0.5)
    )
    one = rng.permutation(np.arange(40) % 12)[g]  # whole prompts are drawn with their user
    variance = (np.bincount(one[good], error) ** 2).sum() * 12 / 11
    assert WITHIN(z, f, groups=g, users=one, sample_weight=w, return_std=True) == pytest.approx(
        (value, variance**0.5)
    )


def test_error_of_roc_auc_within_groups_is_its_spread_between_draws_of_users():
    """Each user likes long answers or short ones, in all prompts that he rates."""
    rng = np.random.default_rng(6)
    g, f = np.repeat(np.arange(300), 2), rng.random(600)
    found = []
    for _ in range(150):
        u = rng.integers(0, 20, 600)
        tilt = rng.normal(0, 1.5, 20)[u]
        good = rng.random(600) < 1 / (1 + np.exp(-(1 + tilt) * (2 * f - 1)))
        found.append(WITHIN(good.astype(float), f, groups=g, users=u, return_std=True))
    score, std = np.array(found).T
    assert std.mean() == pytest.approx(score.std(), rel=0.15)


def test_roc_auc_within_groups_needs_prompts_with_several_answers():
    z, f = [0.0, 1.0, 1.0, 0.0], [0.1, 0.9, 0.5, 0.5]
    with pytest.raises(GroupsError, match="pass the prompt of each row as groups"):
        WITHIN(z, f, groups=None)
    with pytest.raises(FeedbackError, match="no pair of a good and a bad row to rank, in one"):
        WITHIN(z, f, groups=[0, 1, 2, 3])
    assert WITHIN(z, f, groups=[0, 0, 1, 1]) == 0.75
    assert m.rankable_pairs(f, [0, 0, 1, 1]) == (2, 2, 4, 2, 1)
    assert m.rankable_pairs([0.5] * 5, [0, 0, 0, 1, 2]) == (3, 1, 3, 3, 3)


def test_table_of_a_study_has_paired_differences():
    rng = np.random.default_rng(3)
    f, g = rng.uniform(0.1, 0.9, 600), np.arange(600) // 3
    z = pseudo_outcomes_of(rng, (rng.random(600) < f).astype(float))
    models = {"flat": np.full(600, 0.5), "close": f + 0.01, "right": f}
    found = m.compare_predictions(
        z, models, metrics=["mse", "within_roc_auc"], baseline="close", groups=g
    )
    assert list(found.index) == [(a, b) for a in ("mse", "within_roc_auc") for b in models]
    right = found.loc[("mse", "right")]
    assert (right["score"], right["std"]) == pytest.approx(
        m.debiased_mse(z, f, groups=g, return_std=True)
    )
    gap = estimate_difference("mse", z, f, f + 0.01, groups=g)
    assert tuple(right["difference":]) == pytest.approx(gap[:4])
    assert right["difference_std"] < 0.1 * right["std"]
    assert (found.xs("close", level="model").loc[:, "difference":] == 0).all(axis=None)
    latex = found.to_latex(float_format="%.3f")
    assert f"{right['difference']:.3f}" in latex
    with pytest.raises(InvalidInputError, match="baseline is 'x', but the predictions are 'flat'"):
        m.compare_predictions(z, models, baseline="x")
    with pytest.raises(InvalidInputError, match="nothing to compare"):
        m.compare_predictions(z, {})
    with pytest.raises(ValueError, match="must be one of r2"):
        m.compare_predictions(z, models, metrics="recall")


@pytest.mark.parametrize("score", SCORES)
def test_standard_error_is_the_jackknife_over_groups(score):
    rng = np.random.default_rng(1)
    n, n_groups = 3000, 300
    g = rng.integers(0, n_groups, n)
    f = rng.uniform(0.05, 0.95, n).round(2)
    z = pseudo_outcomes_of(rng, (rng.random(n) < f).astype(float))
    w = rng.uniform(0.5, 2, n)
    value, std = score(z, f, groups=g, sample_weight=w, return_std=True)
    left_out = np.array(
        [score(z[g != k], f[g != k], sample_weight=w[g != k]) for k in range(n_groups)]
    )
    jackknife = np.sqrt((n_groups - 1) * ((left_out - left_out.mean()) ** 2).mean())
    assert std == pytest.approx(jackknife, rel=0.03)
    assert value == pytest.approx(left_out.mean(), rel=0.01)


@pytest.mark.parametrize("score", SCORES)
def test_weights(score):
    rng = np.random.default_rng(2)
    f = rng.uniform(0.1, 0.9, 500).round(2)
    r = (rng.random(500) < f).astype(float)
    z, g = pseudo_outcomes_of(rng, r), np.arange(500) // 2
    plain = score(z, f, groups=g, return_std=True)
    assert score(z, f, groups=g, sample_weight=np.full(500, 3.0), return_std=True) == pytest.approx(
        plain
    )
    twice = np.where(np.arange(500) < 100, 2.0, 1.0)
    repeated = np.r_[np.arange(500), np.arange(100)]
    assert score(r, f, groups=g, sample_weight=twice, return_std=True) == pytest.approx(
        score(r[repeated], f[repeated], groups=g[repeated], return_std=True)
    )
    half = np.arange(500) < 250
    assert score(
        z, f, groups=g, sample_weight=half.astype(float), return_std=True
    ) == pytest.approx(score(z[half], f[half], groups=g[half], return_std=True))


def test_groups_of_any_kind_give_the_same_error():
    rng = np.random.default_rng(3)
    g = rng.integers(0, 40, 400)
    z, f = rng.normal(0.5, 1, 400), rng.random(400)
    expected = m.debiased_mse(z, f, groups=g, return_std=True)
    names = np.array([f"prompt {k}" for k in g])
    for groups in (names, names.astype(object), list(names)):
        assert m.debiased_mse(z, f, groups=groups, return_std=True) == pytest.approx(expected)
    for users in (None, g, np.full(400, np.nan), np.arange(400)):  # nothing beyond the groups
        assert m.debiased_mse(z, f, groups=g, users=users, return_std=True) == pytest.approx(
            expected
        )
    with pytest.raises(GroupsError, match="one id per row"):
        m.debiased_mse(z, f, groups=g[:, None], return_std=True)


@pytest.mark.parametrize("score", SCORES)
def test_users_are_a_second_way_of_clustering(score):
    rng = np.random.default_rng(7)
    g, u = rng.integers(0, 50, 600), rng.integers(0, 40, 600)
    f = rng.uniform(0.1, 0.9, 600).round(2)
    z = pseudo_outcomes_of(rng, (rng.random(600) < f).astype(float))
    both = g * 40 + u

    def variance(groups, users=None):
        return score(z, f, groups=groups, users=users, return_std=True)[1] ** 2

    assert variance(g, u) == pytest.approx(variance(g) + variance(u) - variance(both))
    assert variance(u, g) == pytest.approx(variance(g, u))
    assert variance(g, g) == pytest.approx(variance(g))
    assert variance(None, u) == pytest.approx(variance(u))
    weight, nobody = np.where(np.arange(600) < 300, 1.0, 0.0), np.where(u == 3, None, u)
    assert score(
        z, f, groups=g, users=nobody, sample_weight=weight, return_std=True
    ) == pytest.approx(score(z[:300], f[:300], groups=g[:300], users=nobody[:300], return_std=True))


@pytest.mark.parametrize("score", SCORES)
def test_bad_values_are_named_by_count(score):
    z, f = np.array([0.0, 1.2, np.nan, np.nan]), np.array([0.1, 0.9, 0.5, 0.5])
    with pytest.raises(InvalidInputError, match=r"z is NaN or infinite in 2 of 4 rows"):
        score(z, f)
    with pytest.raises(InvalidInputError, match="prediction is NaN or infinite in 1 of 4 rows"):
        score(np.array([0, 1, 1, 0]), [0.1, np.inf, 0.2, 0.3])
    with pytest.raises(InvalidInputError, match="z has 3 rows and prediction has 4"):
        score(np.array([0, 1, 1]), f)
    with pytest.raises(InvalidInputError, match="no rows"):
        score([], [])
    with pytest.raises(GroupsError, match="All 4 rows are of one group"):
        score([0, 1, 1, 0], f, groups=["a"] * 4, return_std=True)
    with pytest.raises(GroupsError, match="missing in 1 of 4 rows"):
        score([0, 1, 1, 0], f, groups=["a", None, "b", "c"], return_std=True)


def test_probabilities_are_demanded_where_the_score_needs_them():
    z, f = [0, 1, 1, 0], [-0.1, 0.9, 1.5, 0.5]
    for score in (m.debiased_log_loss, m.debiased_brier_score, m.debiased_accuracy_score):
        with pytest.raises(InvalidInputError, match=r"outside \[0, 1\] in 2 of 4 rows"):
            score(z, f)
    assert m.debiased_mse(z, f) == pytest.approx(sk.mean_squared_error(z, f))


@pytest.mark.parametrize("z", [np.ones(50), np.r_[np.full(49, 1.02), 0.0], np.zeros(50)])
def test_r2_and_auc_need_both_classes(z):
    f = np.linspace(0, 1, 50)
    with pytest.raises(FeedbackError, match=r"mean of z over 50 rows"):
        m.debiased_r2_score(z, f)
    if z.mean() in (0, 1):
        with pytest.raises(FeedbackError, match="no pair"):
            m.debiased_roc_auc_score(z, f)


@pytest.mark.parametrize("mean", [0.012, 0.988])
def test_r2_is_defined_up_to_one_row_in_a_hundred_of_a_class(mean):
    z, f = np.full(50, mean), np.linspace(0, 1, 50)
    expected = 1 - m.debiased_mse(z, f) / (mean * (1 - mean))
    assert m.debiased_r2_score(z, f) == pytest.approx(expected)
    with pytest.raises(FeedbackError, match="use mse or log_loss"):
        m.debiased_r2_score(np.full(50, 0.008 if mean < 0.5 else 0.992), f)


def test_effective_sample_size():
    assert m.effective_sample_size(np.ones(7)) == pytest.approx(7)
    assert m.effective_sample_size([3, 1, 0]) == pytest.approx(16 / 10)
    with pytest.raises(ValueError):
        m.effective_sample_size([0, 0])


@pytest.mark.parametrize("metric", list(METRICS))
def test_asked_score_reads_asked_answers_alone(metric):
    rng = np.random.default_rng(4)
    n = 400
    f = rng.uniform(0.05, 0.95, n)
    y = (rng.random(n) < f).astype(float)
    asked = np.arange(n) < 100
    y[5] = np.nan
    y[300:] = np.nan
    rows = np.flatnonzero(asked & ~np.isnan(y))
    g, w = np.arange(n) // 2, rng.uniform(1, 2, n)
    u = [np.nan if k % 3 == 0 else f"user {k % 25}" for k in range(n)]
    got = m.asked_score(
        metric,
        y,
        f,
        asked,
        false_positive_rate=0.1,
        false_negative_rate=0.2,
        groups=g,
        users=u,
        sample_weight=w,
        return_std=True,
    )
    expected = METRICS[metric](
        (y[rows] - 0.1) / 0.7,
        f[rows],
        groups=g[rows],
        users=np.array(u, dtype=object)[rows],
        sample_weight=w[rows],
        return_std=True,
    )
    assert got == pytest.approx(expected)


def test_asked_score_says_what_is_wrong():
    rates = {"false_positive_rate": 0.1, "false_negative_rate": 0.2}
    y, f = np.array([1, 0, 1, 0, np.nan]), np.full(5, 0.5)
    with pytest.raises(FeedbackError, match="0 asked rows"):
        m.asked_score("mse", y, f, np.zeros(5, bool), **rates)
    with pytest.raises(FeedbackError, match="None of the 1 asked rows"):
        m.asked_score("mse", y, f, np.arange(5) == 4, **rates)
    with pytest.raises(FeedbackError, match="neither 0 nor 1 in 1 of 4"):
        m.asked_score("mse", [1, 0, 0.5, 0, np.nan], f, np.arange(5) < 4, **rates)
    with pytest.raises(InvalidInputError):
        m.asked_score(
            "mse", y, f, np.ones(5, bool), false_positive_rate=0.5, false_negative_rate=0.5
        )
    with pytest.raises(ValueError, match="must be one of r2, mse"):
        m.asked_score("recall", y, f, np.ones(5, bool), **rates)
    with pytest.warns(AssumptionWarning, match="2 of 4 asked rows"):
        m.asked_score("mse", [1, np.nan, np.nan, 0, np.nan], f, np.arange(5) < 4, **rates)


def simulate(rng, n_groups=250):
    """Clustered rows with clean labels and pseudo-outcomes; predictions are off on purpose."""
    size = rng.integers(1, 8, n_groups)
    g = np.repeat(np.arange(n_groups), size)
    u = rng.normal(0, 1.2, n_groups)[g] + rng.normal(0, 0.8, len(g))
    p = 1 / (1 + np.exp(-u - 0.5))
    r = (rng.random(len(g)) < p).astype(float)
    f = (1 / (1 + np.exp(-0.7 * u - rng.normal(0, 0.5, n_groups)[g]))).round(2).clip(0.01, 0.99)
    return r, f, pseudo_outcomes_of(rng, r), g


@pytest.mark.parametrize("metric", list(METRICS))
def test_unbiased_and_standard_errors_calibrated(metric):
    rng = np.random.default_rng(5)
    score = METRICS[metric]
    r, f, _, g = simulate(rng, 200_000)
    truth = score(r, f, groups=g)
    values, stds = [], []
    for _ in range(500):
        r, f, z, g = simulate(rng)
        value, std = score(z, f, groups=g, return_std=True)
        values.append(value)
        stds.append(std)
    deviations = np.array(values) - truth
    assert abs(deviations.mean()) < 4 * deviations.std() / np.sqrt(500)
    assert np.mean(stds) == pytest.approx(deviations.std(), rel=0.12)
    assert 0.92 < np.mean(np.abs(deviations) < 2 * np.array(stds)) < 0.98


def test_ignoring_groups_understates_the_error():
    r, f, _, g = simulate(np.random.default_rng(6), 5000)
    assert (
        m.debiased_mse(r, f, groups=g, return_std=True)[1]
        > 1.15 * m.debiased_mse(r, f, return_std=True)[1]
    )


@pytest.mark.parametrize("score", SCORES)
def test_draws_add_their_spread_to_the_error(score):
    rng = np.random.default_rng(4)
    f = rng.uniform(0.1, 0.9, 800)
    z = pseudo_outcomes_of(rng, (rng.random(800) < f).astype(float))
    draws = z[:, None] + np.outer(f - 0.3, 0.6 * rng.normal(size=9))
    value, std = score(draws, f, return_std=True)
    one_by_one = [score(column, f) for column in draws.T]
    assert value == pytest.approx(np.mean(one_by_one))
    sampling = np.mean([score(column, f, return_std=True)[1] for column in draws.T])
    assert std == pytest.approx(np.hypot(sampling, np.std(one_by_one)), rel=0.03)
    assert std > 1.02 * sampling
    single = score(z[:, None], f, return_std=True)
    assert single == pytest.approx(score(z, f, return_std=True))
    assert score(np.column_stack([z, z]), f, return_std=True) == pytest.approx(single)


def test_interval_of_an_estimate():
    rng = np.random.default_rng(5)
    f = rng.uniform(0.1, 0.9, 500)
    z = (rng.random(500) < f).astype(float)
    plain = estimate("brier", z, f)
    assert (plain.low, plain.high) == pytest.approx(
        (plain.score - 1.6449 * plain.std, plain.score + 1.6449 * plain.std)
    )
    shift = np.r_[np.zeros(9), 0.5]  # one draw far off
    skewed = estimate("mse", z[:, None] + shift, f / 2)
    assert skewed.open_std == pytest.approx(
        np.std([estimate("mse", z + s, f / 2)[0] for s in shift])
    )
    assert skewed.high - skewed.score != pytest.approx(skewed.score - skewed.low, rel=0.1)


def test_difference_on_the_same_rows_has_the_error_of_the_pairs():
    rng = np.random.default_rng(6)
    p = rng.uniform(0.05, 0.95, 2000)
    z = (rng.random(2000) < p).astype(float)
    near = p + 0.02 * rng.normal(size=2000)
    found = estimate_difference("roc_auc", z, p, near)
    parts = [estimate("roc_auc", z, f) for f in (p, near)]
    assert found.score == pytest.approx(parts[0].score - parts[1].score)
    assert found.std < 0.3 * parts[0].std
    assert estimate_difference("r2", z, p, p).std == 0


def test_an_interval_stays_within_the_range_of_the_score():
    rng = np.random.default_rng(0)
    f = rng.random(60)
    z = (rng.random((60, 40)) < f[:, None]) * 3.0 - 0.6  # 1/e weights take z far out of [0, 1]
    for metric in ("roc_auc", "accuracy", "brier"):
        found = estimate(metric, z, f)
        assert 0 <= found.low <= found.high <= 1
        assert max(found.score + 1.6 * found.std, 1 - found.score + 1.6 * found.std) > 1
    difference = estimate_difference("roc_auc", z, f, 1 - f)
    assert -1 <= difference.low <= difference.high <= 1


def test_draws_must_be_finite():
    with pytest.raises(InvalidInputError, match="z is NaN or infinite in 1 of 3 rows"):
        m.debiased_mse([[0, 1], [1, np.nan], [0, 0]], [0.1, 0.2, 0.3])
    with pytest.raises(InvalidInputError, match="3 rows and prediction has 2"):
        m.debiased_mse(np.zeros((3, 2)), [0.1, 0.2])


def test_draws_that_the_log_contradicts_are_left_out():
    f, z = np.array([0.1, 0.4, 0.6, 0.9]), np.array([0.0, 1, 0, 1])
    draws = np.column_stack([z, z, z - 2])
    assert m.debiased_roc_auc_score(draws, f) == m.debiased_roc_auc_score(z, f)
    with pytest.raises(FeedbackError, match="rows of both classes"):
        m.debiased_roc_auc_score(draws - [2, 2, 0], f)
