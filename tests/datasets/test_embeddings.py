import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.model_selection import GroupKFold, KFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from skcausalrm.datasets import make_observational_feedback
from skcausalrm.datasets._mechanism import SELECTIONS
from skcausalrm.exceptions import InvalidInputError


def assert_same(one, other):
    for name in one:
        assert np.array_equal(one[name], other[name], equal_nan=name in ("y", "verified")), name


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(20, 300),
    d=st.integers(1, 40),
    selection=st.sampled_from(SELECTIONS),
    signal=st.sampled_from(["weak", "medium", "strong", 0.0, 5.0]),
    nonlinearity=st.floats(0, 1),
    grouped=st.booleans(),
    dtype=st.sampled_from(["float32", "float64"]),
    seed=st.integers(0, 1000),
)
def test_shapes_types_and_rates(n, d, selection, signal, nonlinearity, grouped, dtype, seed):
    data = make_observational_feedback(
        n,
        d,
        selection=selection,
        signal=signal,
        nonlinearity=nonlinearity,
        base_rate=0.7,
        observed_rate=0.3,
        n_groups=n // 4 if grouped else None,
        n_asked=5,
        n_verified=7,
        dtype=dtype,
        random_state=seed,
    )
    assert data.X.shape == (n, d)
    assert data.X.dtype == dtype
    assert np.isfinite(data.X).all()
    for name in ("y", "reward", "probability", "propensity", "groups", "asked", "verified"):
        assert data[name].shape == (n,), name
    assert set(np.unique(data.reward)) <= {0.0, 1.0}
    assert np.isin(data.y[~np.isnan(data.y)], [0, 1]).all()
    assert data.probability.mean() == pytest.approx(0.7, abs=1e-9)
    assert data.propensity.mean() == pytest.approx(0.3, rel=1e-6)
    assert data.asked.sum() == 5
    assert not np.isnan(data.y[data.asked]).any()
    assert (~np.isnan(data.verified)).sum() == 7
    assert np.unique(data.groups).size == (n // 4 if grouped else n)


def test_deterministic_and_seed_matters():
    kwargs = {"n_groups": 30, "n_asked": 10, "n_verified": 10}
    one = make_observational_feedback(200, 8, random_state=1, **kwargs)
    assert_same(one, make_observational_feedback(200, 8, random_state=1, **kwargs))
    assert not np.array_equal(
        one.X, make_observational_feedback(200, 8, random_state=2, **kwargs).X
    )


@pytest.mark.parametrize(
    ("selection", "bias"),
    [("none", 0), ("x", 1), ("reward", 1), ("both", 1), ("complain", -1)],
)
def test_naive_mean_is_biased_as_the_selection_says(selection, bias):
    data = make_observational_feedback(
        20_000, 16, selection=selection, false_positive_rate=0, false_negative_rate=0,
        random_state=0,
    )  # fmt: skip
    shift = np.nanmean(data.y) - 0.5
    standard_error = 0.5 / np.sqrt((~np.isnan(data.y)).sum())
    if bias:
        assert bias * shift > 0.1
    else:
        assert abs(shift) < 4 * standard_error


def test_u_shape_rates_both_ends_more():
    data = make_observational_feedback(40_000, 16, selection="u-shape", random_state=0)
    ends = np.abs(data.probability - 0.5) > 0.45
    middle = np.abs(data.probability - 0.5) < 0.1
    assert data.propensity[ends].mean() > 1.3 * data.propensity[middle].mean()


def test_selection_on_x_is_ignorable_given_x():
    data = make_observational_feedback(60_000, 16, selection="x", random_state=1)
    observed = ~np.isnan(data.y)
    residual = data.reward - data.probability
    weight = observed - data.propensity
    product = residual * weight
    assert abs(product.mean()) < 4 * product.std() / np.sqrt(product.size)


def test_naive_head_is_worse_than_a_weighted_one():
    data = make_observational_feedback(
        30_000, 64, selection="x", false_positive_rate=0, false_negative_rate=0, random_state=0
    )
    train = np.arange(30_000) < 20_000
    rated = train & ~np.isnan(data.y)
    scores = []
    for weight in (None, 0.2 / data.propensity[rated]):
        head = LogisticRegression(C=1e-3).fit(data.X[rated], data.y[rated], weight)
        scores.append(r2_score(data.reward[~train], head.predict_proba(data.X[~train])[:, 1]))
    assert scores[1] > scores[0] + 0.03


@pytest.mark.parametrize(("signal", "auroc"), [("weak", 0.75), ("medium", 0.845), ("strong", 0.93)])
def test_signal_strength(signal, auroc):
    data = make_observational_feedback(40_000, 64, signal=signal, random_state=0)
    assert roc_auc_score(data.reward, data.probability) == pytest.approx(auroc, abs=0.015)


def test_anchors_exist_with_a_strong_signal():
    data = make_observational_feedback(20_000, 64, signal="strong", random_state=0)
    assert np.quantile(data.probability, 0.03) < 0.01
    assert np.quantile(data.probability, 0.97) > 0.99


def test_nonlinear_part_is_out_of_reach_of_a_linear_head():
    def linear_auroc(nonlinearity):
        data = make_observational_feedback(
            20_000, 32, nonlinearity=nonlinearity, signal=3.0, random_state=0
        )
        head = LogisticRegression(C=0.01).fit(data.X[:10_000], data.reward[:10_000])
        return roc_auc_score(data.reward[10_000:], head.decision_function(data.X[10_000:]))

    assert linear_auroc(0.0) > 0.9
    assert linear_auroc(1.0) < 0.6


def test_intrinsic_dimension_and_heavy_tails():
    data = make_observational_feedback(5_000, 64, intrinsic_dim=4, random_state=0)
    spectrum = np.linalg.svd(data.X - data.X.mean(axis=0), compute_uv=False)
    assert spectrum[3] > 5 * spectrum[4]
    assert np.all(np.diff(spectrum[:4]) < 0)
    top = (data.X - data.X.mean(axis=0)) @ np.linalg.svd(data.X, full_matrices=False)[2][0]
    assert (top**4).mean() / (top**2).mean() ** 2 > 4  # a normal variable has 3


def test_row_wise_cross_validation_leaks_across_prompts():
    gaps = []
    for seed in range(3):
        data = make_observational_feedback(
            3_000, 32, n_groups=300, signal="strong", random_state=seed
        )
        by_row, by_group = (
            cross_val_score(
                KNeighborsClassifier(10), data.X, data.reward, cv=cv, groups=groups,
                scoring="roc_auc",
            ).mean()
            for cv, groups in (
                (KFold(5, shuffle=True, random_state=0), None),
                (GroupKFold(5), data.groups),
            )
        )  # fmt: skip
        gaps.append(by_row - by_group)
    assert min(gaps) > 0.01


def test_memory_stays_near_one_copy_of_x():
    n, d = 20_000, 512
    tracemalloc.start()
    data = make_observational_feedback(n, d, random_state=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert data.X.nbytes == 4 * n * d
    assert peak < 1.9 * data.X.nbytes  # a float64 copy would add 2


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"n_samples": 1}, "n_samples"),
        ({"n_features": 0}, "n_features"),
        ({"intrinsic_dim": 999}, "intrinsic_dim"),
        ({"selection": "y"}, "selection"),
        ({"selection_strength": 0}, "selection_strength"),
        ({"selection_strength": 1.1}, "selection_strength"),
        ({"base_rate": 1}, "base_rate"),
        ({"signal": "huge"}, "signal"),
        ({"signal": -1.0}, "signal"),
        ({"nonlinearity": 2}, "nonlinearity"),
        ({"observed_rate": 0}, "observed_rate"),
        ({"n_groups": 0}, "n_groups"),
        ({"n_groups": 10**9}, "n_groups"),
        ({"n_asked": -1}, "n_asked"),
        ({"n_verified": 10**9}, "n_verified"),
        ({"dtype": "int8"}, "dtype"),
        ({"n_samples": 2.5}, "n_samples"),
    ],
)
def test_bad_parameters(kwargs, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make_observational_feedback(**{"n_samples": 50, "n_features": 4, **kwargs})


def test_bad_flip_rates():
    with pytest.raises(InvalidInputError):
        make_observational_feedback(50, 4, false_positive_rate=0.5, false_negative_rate=0.5)
