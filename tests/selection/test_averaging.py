"""The walk along the base rate and the mixture that comes of it."""

import numpy as np
import pytest
from scipy.integrate import trapezoid
from scipy.optimize import minimize
from scipy.special import expit, logit
from scipy.stats import norm

from skcausalrm.selection import _averaging as averaging
from skcausalrm.selection._averaging import average, fit_tau, maximise
from skcausalrm.selection._counts import Outcome, count_outcomes
from skcausalrm.selection._likelihood import GradedLikelihood
from skcausalrm.selection._parameters import A, B
from skcausalrm.selection._priors import Knowledge, base_rate_prior

SAFE = norm(0, 1)


@pytest.fixture(scope="module")
def log(draw_rows):
    return draw_rows(4000, a_s=1.2, a_o=0.5, gamma=0.7, b=0.4)


def counted(rows, verified=None, **kwargs):
    return count_outcomes(rows.z, rows.outcome, verified, **kwargs)


@pytest.mark.parametrize("b", [-2.0, 0.0, 3.0])
def test_maximum_is_that_of_a_general_optimiser(log, b):
    model = GradedLikelihood(counted(log), Knowledge(), 0.3, 2.3)
    start = model.start.copy()
    start[B], start[A.start] = b, 1.0
    theta, value, hessian = maximise(model, start)
    assert theta[B] == b
    free = model.free

    def negative(part):
        full = start.copy()
        full[free] = part
        found = model.evaluate(full)
        return -found[0], -found[1][free]

    other = minimize(negative, theta[free] + 0.1, jac=True, method="BFGS", options={"gtol": 1e-6})
    assert value == pytest.approx(-other.fun, abs=1e-4)
    assert np.abs(model.evaluate(theta)[1][free]).max() < 0.05
    np.testing.assert_allclose(hessian, model.evaluate(theta)[2])


@pytest.mark.parametrize("seed", range(4))
def test_the_maximum_is_within_half_a_millionth_of_a_nat(seed):
    """By Newton's decrement, also along the flat directions of 20 rows."""
    rng = np.random.default_rng(seed)
    z, outcome = rng.normal(size=(20, 2)), rng.choice(3, 20, p=[0.6, 0.15, 0.25])
    model = GradedLikelihood(count_outcomes(z, outcome, None), Knowledge(), 0.3, 2.3)
    for b in (-4, -2, 0, 2, 4):
        start = model.start.copy()
        start[B], start[A.start] = b, 1.0
        theta, _, hessian = maximise(model, start)
        gradient = model.evaluate(theta)[1][model.free]
        step = np.linalg.solve(-hessian[np.ix_(model.free, model.free)], gradient)
        assert gradient @ step < 1e-6


def test_a_start_on_a_saddle_still_climbs(log):
    model = GradedLikelihood(counted(log), Knowledge(), 1.0, 2.3)
    start = model.start.copy()
    start[model.free] += 3.0
    curvature = np.linalg.eigvalsh(-model.evaluate(start)[2][np.ix_(model.free, model.free)])
    assert curvature.min() < 0  # plain Newton steps would lead away
    theta, value, _ = maximise(model, start)
    assert value > model.evaluate(start)[0]
    assert np.abs(model.evaluate(theta)[1][model.free]).max() < 0.05


@pytest.fixture(scope="module")
def mixtures(log):
    return average(counted(log), Knowledge(), SAFE)


def test_mixture_is_one(log, mixtures):
    for mixture in mixtures:
        assert mixture.weights.sum() == pytest.approx(1)
        assert (mixture.weights >= 0).all()
        assert len(mixture.nodes) == len(mixture.links) == len(mixture.widths)
    kept, whole = mixtures
    assert len(kept.nodes) <= len(whole.nodes)
    p = np.array([expit(node.theta[B] + log.z @ node.theta[A]) for node in kept.nodes])
    np.testing.assert_allclose(kept.probability(log.z), kept.weights @ p, rtol=1e-9)
    np.testing.assert_allclose(kept.probability(log.z), whole.probability(log.z), atol=2e-3)


def test_base_rate_rises_along_each_link_and_the_ends_do_not_matter(mixtures):
    whole = mixtures[1]
    best = max(node.score for node in whole.nodes)
    sd = whole.level_moments[1]
    for link in averaging.LINKS:
        nodes = [n for n, at in zip(whole.nodes, whole.links, strict=True) if at == link]
        assert (np.diff([node.theta[B] for node in nodes]) > 0).all()
        rates = np.array([node.base_rate for node in nodes])
        assert (np.diff(rates) > 0).all()
        for weight in whole.weights[whole.links == link][[0, -1]]:
            assert weight < 0.01
        near = [node.level for node in nodes if node.score > best - 2]
        assert np.diff(near).max(initial=0) < 0.6 * sd


@pytest.mark.parametrize(
    ("levels", "weights", "low", "high"),
    [
        ([0.0], [1.0], -0.9, 0.9),
        ([-1.0, 1.0], [0.5, 0.5], -1.8, 1.8),
        ([0, 3], [0.9, 0.1], -8 / 9, 3),
    ],
)
def test_the_interval_is_of_nodes_uniform_over_their_widths(mixtures, levels, weights, low, high):
    """Widths of 2: one node is uniform on (-1, 1), two at -1 and 1 on (-2, 2)."""
    nodes = [mixtures[1].nodes[0]._replace(base_rate=expit(level)) for level in levels]
    mixture = mixtures[1]._replace(
        nodes=nodes, weights=np.array(weights), widths=np.full(len(levels), 2.0)
    )
    assert logit(mixture.base_rate_interval) == pytest.approx([low, high], abs=2e-3)


def test_widths_are_those_of_the_trapezoid_rule(mixtures):
    whole = mixtures[1]
    for link in averaging.LINKS:
        at = whole.links == link
        levels, widths = whole.levels[at], whole.widths[at]
        for values in (np.ones(len(levels)), levels, levels**2):
            assert widths @ values == pytest.approx(trapezoid(values, levels))


def test_tangent_and_covariance_are_those_of_the_maximum(log):
    counts, knowledge = counted(log), Knowledge()
    mixture = average(counts, knowledge, SAFE)[0]
    at = int(np.argmax(mixture.weights))
    node, model = mixture.nodes[at], mixture.models[mixture.links[at]]
    moved = node.theta.copy()
    step = 0.02
    moved[B] += step
    theta = maximise(model, moved)[0]
    np.testing.assert_allclose((theta - node.theta) / step, node.tangent, atol=0.05)
    free = np.ix_(model.free, model.free)
    hessian = model.evaluate(node.theta)[2]
    np.testing.assert_allclose(
        node.covariance[free] @ -hessian[free], np.eye(len(free[0])), atol=1e-6
    )


def test_mixture_is_the_posterior_by_quadrature():
    """Asked rows, one index, known flips: two parameters, so the exact posterior is at hand."""
    rng = np.random.default_rng(0)
    z = np.column_stack([rng.normal(size=400), np.zeros(400)])
    r = rng.random(400) < expit(0.8 + 1.2 * z[:, 0])
    s = np.where(rng.random(400) < np.where(r, 0.2, 0.1), ~r, r)
    outcome = np.where(s, Outcome.ASKED_LIKED, Outcome.ASKED_DISLIKED).astype(np.intp)
    counts = count_outcomes(z, outcome, None, n_cells=None)
    prior = norm(0, 0.5)
    kept, whole = average(counts, Knowledge(0.1, 0.2), prior)
    assert set(whole.models) == {1.0}  # without volunteers the link says nothing

    b, a = np.linspace(-1, 3, 121), np.linspace(0, 3, 121)
    u = b[:, None, None] + a[None, :, None] * z[:, 0]
    p = expit(u)
    liked = 0.1 + 0.7 * p
    log_posterior = np.log(np.where(s, liked, 1 - liked)).sum(axis=2) - a**2 / (2 * 6**2)
    level = logit(p.mean(axis=2))
    log_posterior += prior.logpdf(level)
    density = np.exp(log_posterior - log_posterior.max()) * np.gradient(level, b, axis=0)

    def expected(values):
        over = [trapezoid(trapezoid(f * density, a, axis=1), b) for f in (values, 1.0)]
        return over[0] / over[1]

    mean, sd = whole.level_moments
    exact = expected(level)
    exact_sd = np.sqrt(expected((level - exact) ** 2))
    assert mean == pytest.approx(exact, abs=0.1 * exact_sd)
    assert sd == pytest.approx(exact_sd, rel=0.1)
    rows = np.argsort(z[:, 0])[::40]
    predicted = [expected(p[:, :, row]) for row in rows]
    np.testing.assert_allclose(kept.probability(z[rows]), predicted, atol=0.02)


def test_a_nodes_score_integrates_its_other_parameters_out():
    """Laplace with its determinant against quadrature over the one free parameter.

    Over the nodes the curvature differs by a factor of several, so a score without it is off.
    """
    rng = np.random.default_rng(1)
    z = np.column_stack([rng.normal(size=400), np.zeros(400)])
    r = rng.random(400) < expit(0.8 + 1.2 * z[:, 0])
    outcome = np.where(r, Outcome.ASKED_LIKED, Outcome.ASKED_DISLIKED).astype(np.intp)
    counts = count_outcomes(z, outcome, None, n_cells=None)
    whole = average(counts, Knowledge(0.1, 0.2), prior := norm(0, 0.5))[1]
    model = whole.models[1.0]
    assert model.free.tolist() == [A.start]
    near = [node for node in whole.nodes if abs(node.theta[B] - 0.8) < 3]
    chosen = near[:: len(near) // 8]
    exact = []
    for node in chosen:
        sd = np.sqrt(node.covariance[A.start, A.start])
        a = node.theta[A.start] + np.linspace(-8, 8, 81) * sd
        theta = np.repeat(node.theta[None], len(a), axis=0)
        theta[:, A.start] = a
        values = np.array([model.evaluate(row)[0] for row in theta])
        log_integral = np.log(trapezoid(np.exp(values - values.max()), a)) + values.max()
        exact.append(log_integral + prior.logpdf(node.level))
    found = np.array([node.score for node in chosen])
    difference = found - exact
    assert np.ptp([np.log(node.covariance[A.start, A.start]) for node in chosen]) > 1
    np.testing.assert_allclose(difference, difference.mean(), atol=0.1)


def test_a_verified_rows_own_label_is_divided_out(log):
    """The posterior without the label is that of a mixture fitted without it, by brute force."""
    rows = np.arange(60)
    verified = np.full(len(log.z), np.nan)
    verified[rows] = (np.random.default_rng(3).random(60) < 0.4).astype(float)
    mixture = average(counted(log, verified), Knowledge(), norm(0, 1))[1]
    with_label = mixture.posterior(log.z[rows], log.outcome[rows])
    without = mixture.posterior_without_label(log.z[rows], log.outcome[rows], verified[rows], 0.0)
    left_out = []
    for row in rows[:4]:
        others = verified.copy()
        others[row] = np.nan
        refitted = average(counted(log, others), Knowledge(), norm(0, 1))[1]
        left_out.append(refitted.posterior(log.z[[row]], log.outcome[[row]])[0])
    gap, naive_gap = np.abs(without[:4] - left_out), np.abs(with_label[:4] - left_out)
    assert gap.max() < naive_gap.max()
    assert gap.mean() < 0.5 * naive_gap.mean()
    towards = np.where(verified[rows] == 1, 1, -1)
    assert (towards * (with_label - without) > 0).all()  # a row's own label pulls it its way


def test_tau_is_the_sd_of_the_strength(log):
    rows = slice(1000)
    weight = np.exp(log.z[rows, 0])
    counts = count_outcomes(log.z[rows], log.outcome[rows], None, weight=weight, n_cells=None)
    tau, theta = fit_tau(counts, Knowledge())
    assert theta[B] == 0
    index = counts.z @ theta[A]
    variance = np.cov(index, aweights=counts.weight, ddof=0)
    assert tau == pytest.approx(np.sqrt(variance + np.pi**2 / 3))


def test_unknown_base_rate_is_uniform():
    """A prior about the share of likes once read the log twice."""
    rates = np.linspace(0.01, 0.99, 99)
    np.testing.assert_allclose(base_rate_prior(None).cdf(logit(rates)), rates)


def test_a_known_base_rate_moves_the_level_and_leaves_the_ranking(log):
    means, predictions = [], []
    for rate in (0.2, 0.8):
        kept, whole = average(counted(log), Knowledge(), norm(logit(rate), 0.05))
        means.append(expit(whole.level_moments[0]))
        predictions.append(kept.probability(log.z))
    np.testing.assert_allclose(means, [0.2, 0.8], atol=0.03)
    assert np.corrcoef(*np.argsort(np.argsort(predictions, axis=1), axis=1))[0, 1] > 0.9


def test_posterior_of_a_row_follows_from_its_outcome(log, mixtures):
    """Bayes by hand at one node; a liked row is likelier good than the same row disliked."""
    kept = mixtures[0]
    outcomes = [Outcome.DISLIKED, Outcome.UNRATED, Outcome.LIKED]
    z = np.repeat(log.z[:5], 3, axis=0)
    found = np.array(list(kept.posteriors(z, np.tile(outcomes, 5))))
    assert found.shape == (len(kept.nodes), 15)
    mean = kept.weights @ found
    assert (mean.reshape(5, 3)[:, 2] > mean.reshape(5, 3)[:, 0]).all()
    # By the law of total probability the outcomes' posteriors average to that of x alone.
    node, model = kept.nodes[0], kept.models[kept.links[0]]
    share = [model.bins(node.theta, log.z[:5], np.full(5, o)).sum(axis=1) for o in outcomes]
    total = (np.transpose(share) * found[0].reshape(5, 3)).sum(axis=1)
    np.testing.assert_allclose(total, expit(node.theta[B] + log.z[:5] @ node.theta[A]), rtol=1e-9)


@pytest.mark.parametrize(
    ("bs", "base_rates", "scores", "kept"),
    [
        # A hill, then a fold whose last node is higher by a hair.
        ([0, 1, 2, 3, 4], [0.3, 0.5, 0.7, 0.69, 0.68], [0, 0, 0, 0, 0.1], [0, 1, 2]),
        # A hill, and a higher node before a jump that no step of the grid resolves.
        ([0, 1, 2, 3, 3.0005], [0.2, 0.5, 0.8, 0.7, 0.999], [0, 0, 0, 0.5, 0.4], [0, 1, 2]),
        # A wide step that is still to be halved is no jump.
        ([0, 1, 2], [0.2, 0.5, 0.999], [0, 0, 0], [0, 1, 2]),
        # A hair's breadth away on one hill; single nodes by their scores.
        ([0, 1, 1.0005], [0.2, 0.5, 0.5001], [0, 0, 0], [0, 1, 2]),
        ([0, 1], [0.5, 0.4], [0, 1], [1]),
        ([], [], [], []),
    ],
)
def test_the_stretch_is_the_run_that_weighs_most(bs, base_rates, scores, kept):
    path = averaging._Path.__new__(averaging._Path)
    none = np.zeros(0)
    values = zip(bs, base_rates, scores, strict=True)
    path.nodes = {
        b: averaging.Node(none, none, none, rate, score, score) for b, rate, score in values
    }
    assert [b for b, _ in path.stretch()] == [bs[i] for i in kept]
