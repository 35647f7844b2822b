"""Clustered covariance against brute force, and its coverage where users share an effect."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skcausalrm._utils._clusters import clustered_covariance, user_codes
from skcausalrm.exceptions import GroupsError
from skcausalrm.metrics import debiased_mse


def brute_force(scores, *clusterings):
    """Sum of s_i s_j' over all pairs of rows that share a cluster of any kind."""
    share = np.zeros((len(scores), len(scores)), dtype=bool)
    for codes in clusterings:
        share |= codes[:, None] == codes[None, :]
    return scores.T @ share @ scores


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 3), st.integers(1, 20))
def test_two_way_covariance_is_that_of_all_pairs_that_share_a_cluster(seed, k, n_clusters):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(60, k))
    groups, users = rng.integers(0, n_clusters, (2, 60))
    expected = brute_force(scores, groups, users)
    found = clustered_covariance(scores, groups, users)
    least = np.linalg.eigvalsh(expected).min()
    if least > 1e-9:
        np.testing.assert_allclose(found, expected, atol=1e-9)
    assert np.linalg.eigvalsh(found).min() > -1e-9 * np.trace(found)
    assert (np.diag(found) > 0).all()
    np.testing.assert_allclose(clustered_covariance(scores, groups), brute_force(scores, groups))


def test_a_negative_variance_falls_back_to_the_larger_one_way():
    scores = np.array([[1.0], [-1.0], [-1.0], [1.0]])
    groups, users = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    assert brute_force(scores, groups, users) < 0
    assert clustered_covariance(scores, groups, users) == pytest.approx(0)


def test_one_user_alone_leaves_the_one_way_covariance():
    scores, groups = np.random.default_rng(0).normal(size=(50, 2)), np.arange(50) // 2
    scores -= scores.mean(axis=0)  # their sum, and so the user's variance, is 0
    one_way = clustered_covariance(scores, groups)
    np.testing.assert_array_equal(clustered_covariance(scores, groups, np.zeros(50)), one_way)


def test_rows_without_a_user_are_users_of_their_own():
    codes = user_codes(np.array(["a", None, "b", "a", None], dtype=object), 5)
    assert codes[0] == codes[3]
    assert len(set(codes.tolist())) == 4
    codes = user_codes(["a", float("nan"), "b", "a", None], 5)  # a list is not made strings
    assert codes[0] == codes[3]
    assert len(set(codes.tolist())) == 4
    with pytest.raises(GroupsError, match=r"users must be one id per row\.$"):
        user_codes([1, 2], 3)
    with pytest.raises(GroupsError, match="one group or user"):
        clustered_covariance(np.ones((3, 1)), np.zeros(3, int), finite_sample=True)


def test_finite_sample_factor_of_each_way():
    rng = np.random.default_rng(1)
    scores, groups, users = rng.normal(size=(60, 1)), np.arange(60) // 3, np.arange(60) % 5
    found = clustered_covariance(scores, groups, users, finite_sample=True)
    ways = [(groups, 20), (users, 5), (groups * 5 + users, 60)]
    terms = [size / (size - 1) * brute_force(scores, codes) for codes, size in ways]
    np.testing.assert_allclose(found, terms[0] + terms[1] - terms[2])


@pytest.mark.slow
def test_users_in_common_are_covered_by_two_way_errors_and_not_by_one_way():
    rng = np.random.default_rng(0)
    groups, users = np.arange(1200) // 4, np.tile(np.arange(60), 20)
    f = np.full(1200, 0.6)
    deviations, one_way, two_way = [], [], []
    for _ in range(400):
        z = 0.5 + 0.3 * rng.normal(size=60)[users] + 0.3 * rng.normal(size=300)[groups]
        z += 0.5 * rng.normal(size=1200)
        # At f = 0.6 the score is 0.36 - 0.2 mean(z).
        score, std = debiased_mse(z, f, groups=groups, return_std=True)
        deviations.append(score - (0.36 - 0.1))
        one_way.append(std)
        two_way.append(debiased_mse(z, f, groups=groups, users=users, return_std=True)[1])
    spread = np.std(deviations)
    assert np.mean(two_way) == pytest.approx(spread, rel=0.1)
    assert np.mean(one_way) < 0.75 * spread
