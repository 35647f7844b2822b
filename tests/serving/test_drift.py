"""Metrics of the rewards that a server gives."""

import math

import numpy as np
import pytest

pytest.importorskip("prometheus_client")
pytest.importorskip("fastapi")
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry

from skcausalrm.serving import create_app
from skcausalrm.serving._drift import RewardMetrics

REFERENCE = {
    "mean": 0.5,
    "points": [k / 10 for k in range(1, 10)],
    "shares": [k / 10 for k in range(1, 10)],
}


def observed(rewards, reference=REFERENCE, batch=50):
    registry = CollectorRegistry()
    metrics = RewardMetrics(registry, reference)
    for start in range(0, len(rewards), batch):
        metrics.observe(rewards[start : start + batch])
    return registry.get_sample_value


def test_drift_is_small_where_nothing_has_moved_and_large_where_it_has():
    rng = np.random.default_rng(0)
    uniform = rng.random(20_000)
    value = observed(uniform)
    assert value("skcausalrm_reward_drift") < 0.03
    assert value("skcausalrm_reward_mean") == pytest.approx(0.5, abs=0.02)
    assert value("skcausalrm_reward_mean_at_fit") == 0.5
    assert value("skcausalrm_reward_count") == 20_000
    assert value("skcausalrm_reward_bucket", {"le": "0.5"}) == np.count_nonzero(uniform <= 0.5)
    moved = observed(np.concatenate([uniform, uniform**2]))
    assert moved("skcausalrm_reward_drift") == pytest.approx(0.25, abs=0.04)
    assert moved("skcausalrm_reward_mean") == pytest.approx(1 / 3, abs=0.02)


def test_rewards_that_tie_are_no_drift():
    shares = np.array([0.6] * 6 + [0.8, 0.9, 0.95])
    reference = {"mean": 0.1, "points": [0.0] * 6 + [0.5, 0.6, 0.7], "shares": shares.tolist()}
    rng = np.random.default_rng(0)
    rewards = rng.choice([0.0, 0.45, 0.55, 0.65, 0.9], p=[0.6, 0.2, 0.1, 0.05, 0.05], size=9000)
    assert observed(rewards, reference)("skcausalrm_reward_drift") < 0.03


def test_nothing_is_shown_of_few_rows_or_without_a_reference():
    value = observed(np.full(100, 0.5))
    assert math.isnan(value("skcausalrm_reward_drift"))
    assert math.isnan(value("skcausalrm_reward_mean"))
    value = observed(np.full(600, 0.5), None)
    assert value("skcausalrm_reward_drift") is None
    assert value("skcausalrm_reward_mean") == pytest.approx(0.5)


def test_rows_far_from_the_log_are_a_share():
    registry = CollectorRegistry()
    metrics = RewardMetrics(registry, None, knows_support=True)
    rewards = np.full(100, 0.5)
    for n_low in [2] * 300 + [30] * 300:
        metrics.observe(rewards, n_low)
    assert registry.get_sample_value("skcausalrm_low_support_share") == pytest.approx(0.3, abs=0.01)


def test_the_server_counts_the_rewards_that_it_gives(model):
    with TestClient(create_app(model)) as client:
        row = {"prompt": "What is 2 + 2?", "completion": "4."}
        client.post("/score", json={"rows": [row, row]})
        text = client.get("/metrics").text
    assert "skcausalrm_reward_count 2.0" in text
    assert "skcausalrm_reward_drift" not in text
    assert "skcausalrm_low_support_share" not in text
    assert "skcausalrm_reward_mean NaN" in text
