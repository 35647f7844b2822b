import numpy as np
import pytest

from skcausalrm.heads import RidgeHead


def test_the_spread_over_the_folds():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 6))
    signal = X.sum(axis=1)
    for target in (signal + rng.normal(size=400), (signal > 0).astype(float)):
        head = RidgeHead(cv=4, random_state=0).fit(X, target)
        folds = (X @ head.fold_coefs_.T + head.fold_intercepts_).T
        np.testing.assert_allclose(head.predict_std(X, binary=False), folds.std(axis=0), atol=1e-9)
        clipped = np.clip(folds, 0, 1).std(axis=0)
        np.testing.assert_allclose(head.predict_std(X), clipped, atol=1e-9)
    assert np.abs(folds.std(axis=0) - clipped).max() > 1e-3


def test_the_spread_over_the_folds_is_the_jackknifes_standard_error():
    """Times sqrt(K - 1), against the spread of predictions over new samples."""
    x0 = np.ones((1, 5)) / 5**0.5
    fitted = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(300, 5))
        head = RidgeHead(1e-6, cv=10, random_state=0).fit(X, X.sum(axis=1) + rng.normal(size=300))
        fitted.append((head.predict(x0)[0], 3 * head.predict_std(x0, binary=False)[0]))
    predictions, errors = np.array(fitted).T
    assert np.sqrt((errors**2).mean()) == pytest.approx(predictions.std(), rel=0.25)
