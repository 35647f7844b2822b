"""Fitted models for the export tests: real ones, and ones with chosen weights."""

import warnings

import numpy as np
import pytest

from skcausalrm import CausalRewardClassifier, CausalRewardRegressor
from skcausalrm.datasets import make_observational_feedback
from skcausalrm.heads import MLPHead, RidgeHead
from skcausalrm.selection._mixture_head import MixtureHead
from skcausalrm.selection._recalibration_map import Recalibration

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def with_head(head, n_features, *, binary=True, recalibration=None, cls=CausalRewardRegressor):
    """A fitted model around `head`, as fit would leave it."""
    model = cls("dr")
    model.estimator_, model.binary_, model.recalibration_ = head, binary, recalibration
    model.method_, model.n_features_in_ = "dr", n_features
    model.effective_sample_size_ = 12.5
    if cls is CausalRewardClassifier:
        model.classes_ = np.array([0, 1])
    return model


@pytest.fixture
def make_ridge():
    def make(coef, intercept=0.0, recalibration=None, *, fold_spread=0.0, **settings):
        head = RidgeHead()
        head.coef_, head.intercept_ = np.asarray(coef, dtype=np.float64), float(intercept)
        rng = np.random.default_rng(0)
        head.fold_coefs_ = head.coef_ + fold_spread * rng.normal(size=(5, len(head.coef_)))
        head.fold_intercepts_ = head.intercept_ + fold_spread * rng.normal(size=5)
        head.n_features_in_ = len(head.coef_)
        if recalibration is not None:
            recalibration = Recalibration(*recalibration)
        return with_head(head, len(head.coef_), recalibration=recalibration, **settings)

    return make


@pytest.fixture
def make_mixture():
    def make(n_features, n_components, seed=0, scale=1.0, recalibration=None, **settings):
        rng = np.random.default_rng(seed)
        # drawn in this order, so that seeds keep their heads
        directions = scale * rng.normal(size=(n_features, 2)) / n_features**0.5
        offsets = rng.normal(size=2)
        weights = rng.dirichlet(np.ones(n_components))
        intercepts = 2 * rng.normal(size=n_components)
        slopes = np.array([1.0, 0.3]) + rng.normal(size=(n_components, 2))
        head = MixtureHead(
            directions=directions,
            offsets=offsets,
            weights=weights,
            intercepts=intercepts,
            slopes=slopes,
            single_slopes=weights @ slopes,
            single_intercept=float(weights @ intercepts),
            single_difference=0.125,
        )
        if recalibration is not None:
            recalibration = Recalibration(*recalibration)
        return with_head(head, n_features, recalibration=recalibration, **settings)

    return make


@pytest.fixture
def make_mlp():
    def make(sizes, seed=0, scale=1.0, link="logistic", recalibration=None, **settings):
        rng = np.random.default_rng(seed)
        head = MLPHead(tuple(sizes[1:]), link=link)
        shapes = list(zip(sizes, [*sizes[1:], 1], strict=True))
        head.coefs_ = [
            (scale * rng.normal(size=shape) / shape[0] ** 0.5).astype(np.float32)
            for shape in shapes
        ]
        head.intercepts_ = [rng.normal(size=shape[1]).astype(np.float32) for shape in shapes]
        head.n_features_in_ = sizes[0]
        if recalibration is not None:
            recalibration = Recalibration(*recalibration)
        return with_head(head, sizes[0], recalibration=recalibration, **settings)

    return make


@pytest.fixture(scope="session")
def logs():
    return make_observational_feedback(3000, 12, n_groups=600, n_verified=60, random_state=0)


@pytest.fixture(scope="session")
def fit(logs):
    """Fit a model on the logs, without the warnings that so few rows bring."""

    def fit(model, X=logs.X, **columns):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return model.fit(X, logs.y, groups=logs.groups, **columns)

    return fit


@pytest.fixture(scope="session")
def fitted(fit):
    return fit(CausalRewardRegressor(random_state=0))
