"""Changes of a series of means: what raises an alarm, when, and how far it says the mean moved."""

import numpy as np
import pytest

from skcausalrm.inference._changes import (
    N_REFERENCE,
    find_change,
    find_shortfall,
    period_variance,
    stable_variances,
)

ERROR = 0.02


def series(*, drop=0.0, at=20, n=40, seed=0):
    means = 0.6 + ERROR * np.random.default_rng(seed).normal(size=n)
    means[at:] -= drop
    return means, np.full(n, ERROR**2)


def test_a_drop_is_dated_and_measured():
    found = find_change(*series(drop=0.1), false_alarms=0.05)
    assert found.is_alarm()
    assert abs(found.since - 20) <= 1
    assert found.low < -0.1 < found.high < 0
    assert 20 <= found.raised <= 26
    assert not found.is_alarm(0.2)
    assert found.is_alarm(0.01)


def test_no_look_at_a_steady_series_raises_an_alarm():
    raised = [find_change(*series(seed=seed), false_alarms=0.05).raised for seed in range(40)]
    assert sum(one is not None for one in raised) <= 2
    fixed = 0
    for seed in range(40):
        means, _ = series(seed=seed)
        before = np.cumsum(means)[:-1] / np.arange(1, 40)
        gaps = (means[1:] - before) / (ERROR * np.sqrt(1 + 1 / np.arange(1, 40)))
        fixed += bool((abs(gaps) > 1.96).any())
    assert fixed > 20  # an interval for one look wears out


def test_too_few_periods_have_no_change():
    means, variances = series()
    assert find_change(means[:N_REFERENCE], variances[:N_REFERENCE], false_alarms=0.05) is None
    assert find_change(means[:7], variances[:7], false_alarms=0.05) is not None


def test_what_the_draws_leave_open_is_in_the_interval():
    means, variances = series(drop=0.1)
    alike = np.repeat(means[:, None], 20, axis=1)
    apart = alike.copy()
    apart[20:] += np.linspace(-0.1, 0.1, 20)  # by some draws nothing has moved
    sure, unsure = (find_change(m, variances, false_alarms=0.05) for m in (alike, apart))
    assert sure[:4] == pytest.approx(find_change(means, variances, false_alarms=0.05)[:4])
    assert sure.is_alarm()
    assert not unsure.is_alarm()
    assert unsure.high - unsure.low > sure.high - sure.low


def test_restless_periods_are_told_from_a_change():
    rng = np.random.default_rng(0)
    restless = 0.6 + 0.05 * rng.normal(size=40)
    tiny = np.full(40, 1e-6)
    assert 0.03 < period_variance(restless, tiny) ** 0.5 < 0.07
    assert find_change(restless, tiny, false_alarms=0.05).raised is None
    calm, variances = series(drop=0.1)
    assert period_variance(calm, variances) < 0.02**2  # the drop counts once


def test_the_variance_of_a_period_without_dislikes_leans_on_the_others():
    found = stable_variances(np.array([0.01, 0.01, 0.0]), np.array([100.0, 100.0, 10.0]))
    assert found[2] > 0.05
    assert found[0] == pytest.approx(0.01, rel=0.1)


def test_a_shortfall_is_of_the_latest_periods():
    means, variances = series(drop=0.2)
    found = find_shortfall(means, variances, 0.5, false_alarms=0.05)
    assert found.high < 0
    assert found.since >= 18
    assert find_shortfall(means[:20], variances[:20], 0.5, false_alarms=0.05).high > 0
    one = find_shortfall(means[-1:], variances[-1:], 0.6, false_alarms=0.05)
    assert one.since == 0
    assert one.high < 0
