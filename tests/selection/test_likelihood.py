"""The graded likelihood: a probability, its derivatives, its mirror image, what is free."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from skcausalrm.selection._counts import Counts, Outcome
from skcausalrm.selection._likelihood import GOOD, GradedLikelihood
from skcausalrm.selection._parameters import (
    A_S,
    DELTA,
    GAMMA,
    HABIT,
    KAPPA,
    PARAMETERS,
    PHI_FN,
    PHI_FP,
    SELECTION,
    A,
    B,
    C,
    D,
    F,
    G,
    SignalFacts,
    V,
    W,
    selection_design,
    signal_parameter,
)
from skcausalrm.selection._priors import Knowledge

quick = settings(max_examples=40, deadline=None)

SAID = [Outcome.UNRATED, Outcome.DISLIKED, Outcome.LIKED]
ASKED = [Outcome.ASKED_DISLIKED, Outcome.ASKED_LIKED, Outcome.UNANSWERED]
CLICKS = [Outcome.UNRATED, Outcome.RATED]

links = st.floats(0.01, 1.5)
seeds = st.integers(0, 10**6)
knowledges = st.builds(
    Knowledge,
    st.none() | st.floats(0.01, 0.4),
    st.none() | st.floats(0.01, 0.4),
    st.none() | st.sampled_from([0.0, -2.0, 1.5]),
    st.sampled_from([0.0, 0.1]),
    exclusion_sd=st.sampled_from([0.0, 0.05, 0.5]),
)


def facts_of(n):
    outside = np.array([False, False, True])[:n]
    return SignalFacts(np.array([1.0, -1.0, 1.0])[:n], np.array([0.3, 0.1, 0.6])[:n], 0.2, outside)


def random_signals(rng, n, n_signals):
    return rng.choice([0, 1, np.nan], (n, n_signals), p=[0.5, 0.4, 0.1])


def random_counts(seed, outcomes, n=40, n_cells=7, *, habits=False, n_signals=0):
    """Entries of every outcome, some of them verified, some with the negative factor of those."""
    rng = np.random.default_rng(seed)
    outcome = np.concatenate([outcomes, rng.choice(outcomes, n - len(outcomes))]).astype(np.intp)
    return Counts(
        rng.normal(size=(n_cells, 2)),
        rng.uniform(1, 9, n_cells),
        rng.integers(0, n_cells, n),
        outcome,
        rng.integers(-1, 2, n),
        rng.uniform(0.5, 5, n) * np.where(rng.random(n) < 0.2, -1, 1),
        2 * rng.normal(size=n_cells) if habits else None,
        random_signals(rng, n_cells, n_signals) if n_signals else None,
        rng.choice([0, 1, np.nan], n_cells) if n_signals else None,
        facts_of(n_signals) if n_signals else None,
    )


def random_theta(model, seed, scale=1.0):
    theta = model.start.copy()
    rng = np.random.default_rng(seed)
    theta[B] = scale * rng.normal()
    theta[model.free] += scale * rng.normal(size=len(model.free))
    theta[A_S] = 0.1 + abs(theta[A_S])
    return theta


@quick
@given(
    link=links,
    known=knowledges,
    seed=seeds,
    scale=st.sampled_from([0.3, 1.0, 6.0]),
    habits=st.booleans(),
    n_signals=st.integers(0, 2),
)
def test_what_a_row_can_show_has_probabilities_that_sum_to_one(
    link, known, seed, scale, habits, n_signals
):
    counts = random_counts(seed, SAID + ASKED, habits=habits, n_signals=n_signals)
    model = GradedLikelihood(counts, known, link, tau=2.0 + seed % 3)
    theta = random_theta(model, seed, scale)
    rng = np.random.default_rng(seed)
    z, habit = 2 * rng.normal(size=(30, 2)), 2 * rng.normal(size=30) if habits else None

    def bins(outcome, label=None):
        label = None if label is None else np.full(len(z), label)
        shown = [np.array(t) for t in product([0.0, 1.0], repeat=n_signals)]
        return sum(
            model.bins(theta, z, np.full(len(z), outcome), label, habit, np.tile(t, (len(z), 1)))
            for t in shown
        )

    everything = (
        [Outcome.UNRATED, Outcome.DISLIKED, Outcome.LIKED],
        [Outcome.UNRATED, Outcome.RATED],
        [Outcome.ASKED_DISLIKED, Outcome.ASKED_LIKED],
        [Outcome.UNANSWERED],
    )
    for outcomes in everything:
        total = sum(bins(outcome) for outcome in outcomes)
        np.testing.assert_allclose(total.sum(axis=1), 1, rtol=1e-9)
        good = total[:, GOOD].sum(axis=1)
        u = theta[B] + z @ theta[A] + (theta[D] * habit if habits else 0)
        np.testing.assert_allclose(good, expit(u), rtol=1e-6, atol=1e-12)
    for outcome in Outcome:
        assert (bins(outcome) >= 0).all()
        labelled = bins(outcome, 0) + bins(outcome, 1)
        np.testing.assert_allclose(labelled, bins(outcome), rtol=1e-12, atol=1e-300)


@quick
@given(
    link=links,
    known=knowledges,
    seed=seeds,
    outcomes=st.sampled_from([SAID, SAID + ASKED, CLICKS, CLICKS + ASKED, ASKED]),
    habits=st.booleans(),
    n_signals=st.integers(0, 3),
)
def test_gradient_and_hessian_agree_with_finite_differences(
    link, known, seed, outcomes, habits, n_signals
):
    counts = random_counts(seed, outcomes, habits=habits, n_signals=n_signals)
    model = GradedLikelihood(counts, known, link, tau=2.3)
    theta = random_theta(model, seed, 0.7)
    _, gradient, hessian = model.evaluate(theta)
    moved = np.append(model.free, B)
    step = 1e-5
    for place in moved:
        ahead, behind = theta.copy(), theta.copy()
        ahead[place] += step
        behind[place] -= step
        value_ahead, gradient_ahead, _ = model.evaluate(ahead)
        value_behind, gradient_behind, _ = model.evaluate(behind)
        slope = (value_ahead - value_behind) / (2 * step)
        name = (PARAMETERS + HABIT + ("signal",) * 40)[place]
        assert gradient[place] == pytest.approx(slope, rel=1e-5, abs=1e-5), name
        curve = (gradient_ahead - gradient_behind)[moved] / (2 * step)
        np.testing.assert_allclose(hessian[place, moved], curve, rtol=1e-5, atol=1e-5, err_msg=name)
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-9)


@quick
@given(link=links, known=knowledges, seed=seeds, n_signals=st.integers(1, 3))
def test_shifts_of_all_cells_act_as_their_parameters_do(link, known, seed, n_signals):
    """Shifts of u, of a rating and of each signal are b, c and c_j, without the priors of those."""
    counts = random_counts(seed, SAID + ASKED, habits=True, n_signals=n_signals)
    model = GradedLikelihood(counts, known, link, tau=2.3)
    theta = random_theta(model, seed, 0.7)
    places = [B, C, *(signal_parameter(j, "c", n_signals=n_signals) for j in range(n_signals))]
    shift = np.linspace(-0.5, 0.7, len(places))
    moved = theta.copy()
    moved[places] += shift
    gradient = model.evaluate(moved)[1]
    slopes = model.shift_slopes(theta, np.tile(shift, (len(counts.z), 1)))
    own = np.isin(places, model.free)
    prior = np.where(own, (moved - model.start)[places] / model.sd[places] ** 2, 0)
    np.testing.assert_allclose(slopes.sum(axis=0), gradient[places] + prior, rtol=1e-9, atol=1e-9)


@quick
@given(link=links, known=knowledges, seed=seeds)
def test_habits_without_effect_leave_the_likelihood_as_it_is(link, known, seed):
    counts = random_counts(seed, SAID + ASKED, habits=True)
    with_habits = GradedLikelihood(counts, known, link, tau=2.3)
    without = GradedLikelihood(counts._replace(habit=None), known, link, tau=2.3)
    theta = random_theta(without, seed)
    n = len(theta)
    # All effects 0; at w = 0 the prior, whose mean is 1, costs a constant.
    found = with_habits.evaluate(np.append(theta, np.zeros(len(HABIT))))
    expected = without.evaluate(theta)
    assert found[0] == pytest.approx(expected[0] - 0.5 * (1 / with_habits.sd[W]) ** 2)
    np.testing.assert_allclose(found[1][:n], expected[1], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found[2][:n, :n], expected[2], rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(with_habits.free[with_habits.free < n], without.free)


MIRRORED = {
    Outcome.DISLIKED: Outcome.LIKED,
    Outcome.LIKED: Outcome.DISLIKED,
    Outcome.ASKED_DISLIKED: Outcome.ASKED_LIKED,
    Outcome.ASKED_LIKED: Outcome.ASKED_DISLIKED,
}


@quick
@given(link=links, known=knowledges, seed=seeds)
def test_relabelling_feedback_and_reward_mirrors_the_likelihood(link, known, seed):
    """Good for bad in r, s and labels; the liked index then turns its sign, the rated one not."""
    counts = random_counts(seed, SAID + ASKED)
    model = GradedLikelihood(counts, known, link, tau=2.3)
    theta = random_theta(model, seed)

    turn = np.array([-1.0, 1.0])
    mirrored_counts = counts._replace(
        z=counts.z * turn,
        outcome=np.array([MIRRORED.get(Outcome(o), Outcome(o)) for o in counts.outcome]),
        label=np.where(counts.label < 0, -1, 1 - counts.label),
    )
    fixed = known.selection_log_odds
    mirrored_known = Knowledge(
        known.false_negative_rate,
        known.false_positive_rate,
        None if fixed is None else -fixed,
        known.verified_error_rate,
    )
    design, turned = selection_design(counts.z), selection_design(counts.z * turn)
    signs = np.where(np.isclose(turned, design).all(axis=0), 1.0, -1.0)
    np.testing.assert_allclose(turned, design * signs)  # what of x selects is closed under it
    mirror = theta.copy()
    mirror[B] = -theta[B]
    mirror[A] = theta[A] * -turn
    mirror[[GAMMA, DELTA]] *= -1
    mirror[V] *= signs
    mirror[[PHI_FP, PHI_FN]] = theta[[PHI_FN, PHI_FP]]
    other = GradedLikelihood(mirrored_counts, mirrored_known, link, tau=2.3)
    assert other.evaluate(mirror)[0] == pytest.approx(model.evaluate(theta)[0], rel=1e-9, abs=1e-8)
    assert other.base_rate(mirror) == pytest.approx(1 - model.base_rate(theta), abs=1e-12)


@quick
@given(link=links, n_unrated=st.integers(1, 50), n_rated=st.integers(1, 50))
def test_the_level_of_rating_starts_at_the_share_rated(link, n_unrated, n_rated):
    counts = Counts(
        np.zeros((1, 2)),
        np.ones(1),
        np.zeros(3, dtype=int),
        np.array([Outcome.UNRATED, Outcome.LIKED, Outcome.ASKED_LIKED]),
        np.full(3, -1),
        np.array([n_unrated, n_rated, 7.0]),
    )
    model = GradedLikelihood(counts, Knowledge(), link, tau=2.0)
    theta = model.start.copy()
    theta[B] = 0.3
    silent = model.bins(theta, np.zeros((1, 2)), np.array([Outcome.UNRATED])).sum()
    assert silent == pytest.approx(n_unrated / (n_unrated + n_rated))


class TestFree:
    """Nothing is estimated that is known, or of which the counts say nothing."""

    @staticmethod
    def free(outcomes=(*SAID, *ASKED), known=None, flat=(), habits=False):
        counts = random_counts(0, list(outcomes), habits=habits)
        counts.z[:, list(flat)] = 0
        return set(GradedLikelihood(counts, known or Knowledge(), 1.0, 2.0).free)

    everything = frozenset(range(len(PARAMETERS))) - {B}
    selection = frozenset(range(len(PARAMETERS))[SELECTION])

    def test_all_but_the_intercept(self):
        assert self.free() == self.everything

    def test_known_rates(self):
        assert self.free(known=Knowledge(0.1, None)) == self.everything - {PHI_FP}
        assert self.free(known=Knowledge(None, 0.2)) == self.everything - {PHI_FN}

    def test_fixed_selection(self):
        known = Knowledge(selection_log_odds=1.5)
        assert self.free(known=known) == self.everything - {GAMMA, DELTA}
        known = Knowledge(selection_log_odds=0.0)
        assert self.free(known=known) == self.everything - {GAMMA, DELTA, KAPPA}

    def test_no_selection_where_all_are_rated_or_asked(self):
        assert self.free([Outcome.LIKED, Outcome.DISLIKED]) == self.everything - self.selection
        assert self.free(ASKED) == self.everything - self.selection

    def test_no_flips_where_nothing_is_said(self):
        assert not self.free(CLICKS) & {PHI_FP, PHI_FN}

    def test_habits(self):
        habit = set(range(len(PARAMETERS), len(PARAMETERS + HABIT)))
        everything = self.everything | habit
        assert self.free(habits=True) == everything
        assert self.free(habits=True, known=Knowledge(exclusion_sd=0.0)) == everything - {D, G, F}
        assert self.free(ASKED, habits=True) == everything - self.selection - habit | {D, F}
        assert self.free(habits=True, known=Knowledge(0.1, 0.2)) == (
            everything - {PHI_FP, PHI_FN, F}
        )
        assert G not in self.free(habits=True, known=Knowledge(selection_log_odds=0.0))

    def test_flat_indices(self):
        assert not self.free(flat=[1]) & {A.start + 1}
        flat = self.free(flat=[0, 1])
        assert not flat & {*range(A.start, A.stop), *range(V.start, V.stop)}
        assert C in flat


def test_fixed_log_odds_are_what_the_bins_differ_by():
    """Mean of the liked bins minus mean of the disliked: gamma, delta being 0."""
    model = GradedLikelihood(random_counts(0, SAID), Knowledge(selection_log_odds=2.0), 1.0, 2.0)
    theta, z = random_theta(model, 0), np.zeros((1, 2))
    rated = model.bins(theta, z, np.array([Outcome.RATED]))[0]
    unrated = model.bins(theta, z, np.array([Outcome.UNRATED]))[0]
    log_odds = np.log(rated / unrated)
    assert log_odds[GOOD].mean() - log_odds[~GOOD].mean() == pytest.approx(2.0)
