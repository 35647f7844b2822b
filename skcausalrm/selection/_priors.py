"""Prior knowledge of flip rates, selection and base rate."""

from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from scipy.special import logit
from scipy.stats import logistic, norm

from ..exceptions import InvalidInputError
from ..nuisances._recipes import check_rates

# Standard deviation of the logit of a base rate that is given without one.
_BASE_RATE_SD = 0.05
# Largest absolute selection log odds accepted.
_MAX_LOG_ODDS = 10


class Knowledge(NamedTuple):
    """Parameters known for sure; None where unknown.

    Attributes
    ----------
    false_positive_rate, false_negative_rate : float, (float, float) or None
        As in `SelectionModel`.
    selection_log_odds : float or None
        Log odds by which a liked row is rated rather than a disliked one, ``gamma + 1.2 delta``. If
        known, delta = 0, and if it is 0, kappa = 0 too.
    verified_error_rate : float
    base_rate : float, (float, float) or None
        As in `SelectionModel`.
    rated_is_praise : bool
        Meaning of a rating where volunteers leave only one kind.
    exclusion_sd : float
        Prior standard deviation of what a user's habit says on anything but who rates.
    """

    false_positive_rate: float | tuple[float, float] | None = None
    false_negative_rate: float | tuple[float, float] | None = None
    selection_log_odds: float | None = None
    verified_error_rate: float = 0.0
    base_rate: float | tuple[float, float] | None = None
    rated_is_praise: bool = True
    exclusion_sd: float = 0.05

    @property
    def fixed_rates(self) -> tuple[float | None, ...]:
        """False positive and false negative rate where known for sure, None elsewhere."""
        rates = self.false_positive_rate, self.false_negative_rate
        return tuple(None if isinstance(rate, tuple) else rate for rate in rates)

    @property
    def flip_priors(self) -> tuple[tuple[float, float] | None, ...]:
        """Prior mean and standard deviation of each phi, the flip rate being expit(phi) / 2."""
        rates = self.false_positive_rate, self.false_negative_rate
        return tuple(_flip_prior(*rate) if isinstance(rate, tuple) else None for rate in rates)


def _flip_prior(rate: float, std: float) -> tuple[float, float]:
    return float(logit(2 * rate)), std / (rate * (1 - 2 * rate))


def check_knowledge(model: Any) -> Knowledge:
    """Collect what a `SelectionModel` takes for known.

    Raises
    ------
    InvalidInputError
        If a value is impossible.
    """
    false_positive = _check_rate("false_positive_rate", model.false_positive_rate)
    false_negative = _check_rate("false_negative_rate", model.false_negative_rate)
    rates = false_positive, false_negative
    check_rates(*(rate if isinstance(rate, float) else 0.0 for rate in rates))
    log_odds = model.selection_log_odds
    if log_odds is not None and not abs(log_odds) <= _MAX_LOG_ODDS:
        raise InvalidInputError(
            f"selection_log_odds is {log_odds!r}, but beyond {_MAX_LOG_ODDS} only one kind of "
            f"answer is ever rated: give a number from -{_MAX_LOG_ODDS} to {_MAX_LOG_ODDS}."
        )
    base_rate_prior(model.base_rate)
    return Knowledge(
        false_positive,
        false_negative,
        log_odds,
        model.verified_error_rate,
        model.base_rate,
        exclusion_sd=model.exclusion_sd,
    )


def _check_rate(name: str, rate: Any) -> float | tuple[float, float] | None:
    """Return a flip rate, known for sure, with a standard deviation, or unknown."""
    if rate is None or isinstance(rate, Real):
        return None if rate is None else float(rate)
    mean, std = rate if len(rate) == 2 else (np.nan, np.nan)
    if not 0 < mean < 0.5 or not 0 < std < np.inf:
        raise InvalidInputError(
            f"{name} is {rate!r}, but a pair must be a rate between 0 and 0.5 and its positive "
            f"standard deviation."
        )
    return float(mean), float(std)


def base_rate_prior(base_rate):
    """Return the prior of the base rate's logit: the given one, or that of a uniform base rate.

    Parameters
    ----------
    base_rate : float, (float, float) or None
        A probability, alone or with the standard deviation of its logit.

    Returns
    -------
    scipy.stats distribution
        Normal, or logistic, the distribution of the logit of a uniform variable.

    Raises
    ------
    InvalidInputError
        If `base_rate` is no probability, or its standard deviation is not positive.
    """
    if base_rate is None:
        return logistic()
    given = np.atleast_1d(np.asarray(base_rate, dtype=np.float64))
    rate, sd = (*given, _BASE_RATE_SD)[:2] if len(given) in (1, 2) else (np.nan, np.nan)
    if not 0 < rate < 1 or not 0 < sd < np.inf:
        raise InvalidInputError(
            f"base_rate is {base_rate!r}, but must be a probability strictly between 0 and 1, or "
            f"such a probability and the positive standard deviation of its logit."
        )
    return norm(logit(rate), sd)
