"""What is known beforehand: flip rates with a standard deviation."""

import warnings

import pytest

from skcausalrm import NoiseTransitionEstimator, SelectionModel
from skcausalrm.datasets import make_observational_feedback
from skcausalrm.exceptions import InvalidInputError, SkcausalrmWarning


@pytest.fixture(scope="module")
def log():
    return make_observational_feedback(3000, 8, random_state=0)


def rate_and_std(log, rate):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkcausalrmWarning)
        model = SelectionModel(base_rate=0.5, false_positive_rate=rate, random_state=0)
        model.fit(log.X, log.y)
    return model.false_positive_rate_, model.false_positive_rate_std_


def test_a_rate_with_a_deviation_lies_between_a_known_and_an_unknown_one(log):
    unknown, wide = rate_and_std(log, None)
    assert wide > 0.02
    assert rate_and_std(log, 0.3) == pytest.approx((0.3, 0))
    nearly, narrow = rate_and_std(log, (0.3, 0.002))
    assert nearly == pytest.approx(0.3, abs=0.01)
    assert narrow == pytest.approx(0.002, rel=0.2)
    loosely, between = rate_and_std(log, [0.3, 0.05])
    assert min(unknown, 0.3) < loosely < max(unknown, 0.3)
    assert narrow < between < wide


@pytest.mark.parametrize("rate", [(0.6, 0.1), (0.1, 0), (0.1, 0.1, 0.1), (0, 0.1)])
def test_pairs_that_are_no_prior(log, rate):
    with pytest.raises(InvalidInputError, match="a pair must be a rate between"):
        SelectionModel(false_positive_rate=rate).fit(log.X, log.y)


@pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.SkcausalrmWarning")
def test_anchors_are_averaged_with_an_earlier_log(log):
    alone = NoiseTransitionEstimator(random_state=0).fit(log.X, log.y)
    rate, std = alone.false_positive_rate_, alone.false_positive_rate_std_
    earlier = NoiseTransitionEstimator(false_positive_rate=(0.05, std), random_state=0)
    earlier.fit(log.X, log.y)
    assert earlier.false_positive_rate_ == pytest.approx((rate + 0.05) / 2)
    assert earlier.false_positive_rate_std_ == pytest.approx(std / 2**0.5)
    assert earlier.false_negative_rate_ == alone.false_negative_rate_
    with pytest.raises(InvalidInputError, match="positive standard deviation"):
        NoiseTransitionEstimator(false_positive_rate=(0.05, 0)).fit(log.X, log.y)
