"""scikit-learn's own checks over every public estimator."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from skcausalrm import (
    CausalRewardClassifier,
    CausalRewardRegressor,
    NoiseTransitionEstimator,
    PropensityEstimator,
)
from skcausalrm.heads import RidgeHead

pytestmark = pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.SkcausalrmWarning")

FOLDS = (
    "folds are drawn over the rows given, so a row of weight 2 and a row given twice lead to "
    "other folds; test_weights.py holds the equivalence on fixed folds"
)
EXPECTED_FAILURES: dict[str, dict[str, str]] = {}


def expected_failures(estimator):
    return EXPECTED_FAILURES.get(type(estimator).__name__, {})


@parametrize_with_checks(
    [
        PropensityEstimator(),
        NoiseTransitionEstimator(),
        CausalRewardRegressor(),
        CausalRewardRegressor("snips"),
        CausalRewardRegressor("naive"),
        CausalRewardClassifier(),
        RidgeHead(),
    ],
    expected_failed_checks=expected_failures,
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)
