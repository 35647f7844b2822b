"""Each loss against its equation in numpy."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from skcausalrm.baselines import RobustDivideMix
from skcausalrm.baselines._tuned_dr import least_error, shrunk, slope

torch = pytest.importorskip("torch")

from skcausalrm.baselines import _divide_mix_losses as divide  # noqa: E402
from skcausalrm.baselines import _losses  # noqa: E402
from skcausalrm.baselines._losses import (  # noqa: E402
    CoTraining,
    multi_task_loss,
    reward_loss,
    stable_loss,
)

seeds = given(seed=st.integers(0, 9999))
quick = settings(max_examples=25, deadline=None)


def drawn(seed, n_outputs=1, n=40):
    rng = np.random.default_rng(seed)
    f = 2 * rng.normal(size=(n, n_outputs) if n_outputs > 1 else n)
    s, o = rng.integers(2, size=n).astype(float), rng.random(n) < 0.4
    return torch.from_numpy(f), f, np.where(o, s, 0.0), o


def log_loss(f, t):
    return -t * np.log(expit(f)) - (1 - t) * np.log(expit(-f))


@quick
@seeds
def test_log_loss_entropy_and_divergence(seed):
    f, values, s, _ = drawn(seed, 2)
    p = expit(values)
    found = _losses.log_loss(f[:, 0], torch.from_numpy(s))
    np.testing.assert_allclose(found, log_loss(values[:, 0], s))
    h = -p * np.log(p) - (1 - p) * np.log(1 - p)
    np.testing.assert_allclose(_losses.entropy(f), h, atol=1e-12)
    q = p.mean(axis=1)
    divergence = -q * np.log(q) - (1 - q) * np.log(1 - q) - h.mean(axis=1)
    found = _losses.jensen_shannon(f[:, 0], f[:, 1])
    np.testing.assert_allclose(found, divergence, atol=1e-6)
    assert (found >= -1e-6).all()
    assert (found <= np.log(2)).all()


@quick
@seeds
def test_contrast_of_rated_and_unrated_rows(seed):
    f, values, _, o = drawn(seed)
    a, b = expit(values[o]).mean(), expit(values[~o]).mean()
    expected = -a * np.log(b) - (1 - a) * np.log(1 - b)
    assert float(_losses.contrast(f, torch.from_numpy(o))) == pytest.approx(expected)
    assert float(_losses.contrast(f, torch.ones(len(o), dtype=bool))) == 0


@quick
@seeds
def test_epsilon_softmax(seed):
    f, values, _, _ = drawn(seed)
    liked, disliked = _losses.epsilon_softmax(f, 3.0)
    p = np.column_stack([expit(-values), expit(values)])
    p[np.arange(len(p)), p.argmax(axis=1)] += 3.0
    np.testing.assert_allclose(np.column_stack([disliked, liked]), p / 4)
    np.testing.assert_allclose(liked + disliked, 1)
    np.testing.assert_allclose(_losses.epsilon_softmax(f, 0.0)[0], expit(values))


@quick
@seeds
def test_non_negative_risk(seed):
    f, values, s, o = drawn(seed)
    positive = (s == 1) & o
    good, bad = _losses.non_negative_risk(f, torch.from_numpy(positive), 0.3)
    if positive.any():
        assert float(good) == pytest.approx(0.3 * log_loss(values[positive], 1).mean())
        mistaken = 0.3 * log_loss(values[positive], 0).mean()
        expected = log_loss(values[~positive], 0).mean() - mistaken
        assert float(bad) == pytest.approx(expected)


@quick
@seeds
def test_multi_task_losses(seed):
    for n_outputs in (2, 3):
        f, values, s, o = drawn(seed, n_outputs)
        target = torch.from_numpy(np.column_stack([s, o]))
        p, e = expit(values[:, 0]), expit(values[:, 1])
        weight = o / np.maximum(e, 0.2)
        if n_outputs == 2:
            corrected, imputed = weight * (p - s) ** 2, 0.0
        else:
            m = expit(values[:, 2])
            corrected = (m - p) ** 2 + weight * ((p - s) ** 2 - (m - p) ** 2)
            imputed = weight * (m - s) ** 2
            # the square on the doubly robust target is the same up to a term free of p
            target_of_dr = m + weight * (s - m)
            free_of_p = target_of_dr**2 - (1 - weight) * m**2 - weight * s**2
            np.testing.assert_allclose((p - target_of_dr) ** 2 - corrected, free_of_p, atol=1e-12)
        np.testing.assert_allclose(reward_loss(f, target, 0.2), corrected)
        expected = (
            log_loss(values[:, 1], o.astype(float)) + corrected + (e * p - o * s) ** 2 + imputed
        )
        np.testing.assert_allclose(multi_task_loss(f, target, 0.2), expected)


@quick
@seeds
def test_normalised_weights_make_risks_of_epochs_comparable(seed):
    f, values, s, o = drawn(seed, 2)
    o[0] = True
    target = torch.from_numpy(np.column_stack([s, o]))
    p, weight = expit(values[:, 0]), o / np.maximum(expit(values[:, 1]), 0.05)
    snips = (weight * (p - s) ** 2).sum() / weight.sum()
    found = reward_loss(f, target, 0.05, normalised=True).mean()
    assert float(found) == pytest.approx(snips)


@quick
@seeds
def test_stable_loss(seed):
    f, values, s, o = drawn(seed, 3)
    o[0] = True
    p, e, m = expit(values).T
    weight = o / np.maximum(e, 0.1)
    imputed = (m - p) ** 2
    drift = (weight * (imputed - imputed.mean())).mean()
    expected = (
        (weight * (p - s) ** 2).sum() / weight.sum()
        + (log_loss(values[:, 1], o.astype(float)) + weight * (m - s) ** 2).mean()
        + 3 * drift**2
    )
    found = stable_loss(f, torch.from_numpy(np.column_stack([s, o])), 0.1, 3.0).mean()
    assert float(found) == pytest.approx(expected)


@quick
@seeds
def test_latent_groups(seed):
    f, values, s, _ = drawn(seed, 2)
    p, a = expit(values).T
    expected = -s * np.log(p * a) - (1 - s) * np.log(1 - p * a)
    found = _losses.latent_groups(f[:, 0], f[:, 1], torch.from_numpy(s))
    np.testing.assert_allclose(found, expected)


def test_latent_groups_spread_silence_by_the_groups_posterior():
    f = torch.tensor([[0.7, -0.4]], dtype=torch.float64, requires_grad=True)
    _losses.latent_groups(f[:, 0], f[:, 1], torch.zeros(1)).sum().backward()
    p, a = expit([0.7, -0.4])
    good_and_silent = p * (1 - a) / (1 - p * a)
    acts_and_silent = (1 - p) * a / (1 - p * a)
    np.testing.assert_allclose(f.grad[0], [p - good_and_silent, a - acts_and_silent])


@quick
@seeds
def test_divide_mix(seed):
    f, values, s, _ = drawn(seed, 2)
    p, clean = expit(values), np.random.default_rng(seed).random((len(s), 2))
    labels, kept = divide.refine(p, s, clean, 0.5)
    for k in (0, 1):
        w = clean[:, 1 - k]
        raw = np.where(w > 0.5, w * s + (1 - w) * p[:, k], p.mean(axis=1))
        np.testing.assert_allclose(labels[:, k], raw**2 / (raw**2 + (1 - raw) ** 2))
    np.testing.assert_array_equal(divide.sharpen(p, 1.0), p)

    rng = np.random.RandomState(seed)
    everywhere, every_row = np.ones(len(s), dtype=bool), np.arange(len(s))
    rows = SimpleNamespace(X=values, s=s, o=everywhere, train=every_row, rng=rng)
    loss = divide.DivideMixLoss(RobustDivideMix(unlabelled_weight=2.0), rows)
    mix = loss.wrap(torch.nn.Identity())
    target = torch.from_numpy(np.column_stack([labels, kept]))
    mixed = mix(f)
    assert 0.5 <= mix.share <= 1
    t = mix.share * labels + (1 - mix.share) * labels[mix.partner]
    f2 = mix.share * values + (1 - mix.share) * values[mix.partner]
    np.testing.assert_allclose(mixed, f2)
    q = expit(f2)
    mean = q.mean(axis=0)
    balance = -(np.log(mean) + np.log(1 - mean)) / 2 - np.log(2)
    expected = kept * log_loss(f2, t) + 2 * (1 - kept) * (q - t) ** 2 + balance
    np.testing.assert_allclose(loss(mixed, target), expected.sum(axis=1))
    np.testing.assert_array_equal(mix.eval()(f), values)


def test_divide_mix_takes_small_losses_for_clean():
    rng = np.random.RandomState(0)
    losses = np.concatenate([rng.normal(0.2, 0.05, 300), rng.normal(2.0, 0.3, 100)])
    clean = divide.clean_probability(losses, rng)
    assert clean[:300].min() > 0.5 > clean[300:].max()


def test_no_gradient_flows_through_what_divides():
    f = torch.zeros(5, 3, requires_grad=True)
    reward_loss(f, torch.ones(5, 2), 0.05).sum().backward()
    assert (f.grad[:, 1:] == 0).all()
    assert (f.grad[:, 0] != 0).all()


@quick
@given(seed=st.integers(0, 9999), weight=st.sampled_from([0.0, 2.0]), epoch=st.integers(1, 20))
def test_co_training_teaches_what_the_other_network_chose(seed, weight, epoch):
    f, values, s, _ = drawn(seed, 2)
    loss = CoTraining(0.3, 10, weight)
    loss.before_epoch(None, epoch)
    kept = 1 - 0.3 * min((epoch - 1) / 10, 1)
    k = round(kept * len(s))
    losses = log_loss(values, s[:, None])
    q = expit(values).mean(axis=1)
    h = log_loss(values, expit(values))
    apart = -q * np.log(q) - (1 - q) * np.log(1 - q) - h.mean(axis=1)
    choice = losses - weight * apart[:, None]
    first, second = (np.argsort(choice[:, i])[:k] for i in (0, 1))
    expected = (losses[second, 0].sum() + losses[first, 1].sum()) / k
    found = loss(f, torch.from_numpy(s)).mean()
    assert float(found) == pytest.approx(expected, abs=1e-6)
    if epoch > 10:
        held_out = loss.held_out(f, torch.from_numpy(s)).mean()
        assert float(held_out) == pytest.approx(expected, abs=1e-6)


@quick
@given(w=st.floats(1, 100), shrinkage=st.floats(1e-3, 1e6))
def test_shrunk_weights_lie_between_0_and_what_they_were(w, shrinkage):
    found = float(shrunk(np.array([w]), shrinkage)[0])
    assert found == pytest.approx(shrinkage * w / (w**2 + shrinkage))
    assert 0 < found < w
    assert shrunk(np.array([w]), np.inf)[0] == w


def test_rules_of_choice_trade_bias_for_variance():
    rng = np.random.default_rng(0)
    truth, noise = np.full(500, 0.4), rng.normal(size=500)
    noise -= noise.mean()
    wild, calm, wrong = truth + 40 * noise, truth + noise, truth + 0.5 + 0.1 * noise
    assert least_error([wild, calm, wrong]) == 1
    # the interval of a wild estimate holds everything; that of a calm one refuses the wrong one
    assert slope([wild, calm, wrong]) == 1
    assert slope([wild, calm]) == 1
    assert slope([calm, wrong]) == 0
