"""Corrections: objects that own the settings of one way to make target and weight."""

from numbers import Real
from typing import Any, ClassVar

from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator

from .._utils._columns import RowColumns
from .._utils._sklearn_compat import HasMethods, Interval
from .._utils._validation import Feedback
from .._utils._warnings import warn
from ..exceptions import MethodFallbackWarning
from ..nuisances._noise import NoiseTransitionEstimator
from ..nuisances._recipes import unread_columns
from ..selection._model import SelectionModel

# Minimum rated rows per class for "auto" to use the selection likelihood.
_MIN_RATED = 30


class Correction(BaseEstimator):
    """Base of the corrections that assume selection on x alone.

    A correction only holds settings; `CausalRewardRegressor.fit` clones and uses them.
    """

    recipe: str
    _parameter_constraints: ClassVar[dict] = {
        "propensity_estimator": [HasMethods(["fit", "predict_proba"]), None],
        "outcome_estimator": [HasMethods(["fit", "predict"]), None],
        "noise_estimator": [NoiseTransitionEstimator, FrozenEstimator, None],
        "normalize": ["boolean"],
        "verified_error_rate": [Interval(Real, 0, 0.5, closed="left")],
    }

    def check_parameters(self) -> None:
        """Raise if a parameter has a value it cannot have.

        Raises
        ------
        sklearn.utils.InvalidParameterError
            A ValueError that names the parameter.
        """
        self._validate_params()


class Naive(Correction):
    """No correction: the logged feedback of the rated rows is the target.

    Parameters
    ----------
    verified_error_rate : float, default=0.0
        Error rate of the person behind `verified`, below 0.5.

    Notes
    -----
    Unbiased only without flips and without selection; the baseline to compare with.

    Examples
    --------
    >>> from skcausalrm import CausalRewardRegressor, Naive
    >>> CausalRewardRegressor(Naive(verified_error_rate=0.1))
    CausalRewardRegressor(method=Naive(verified_error_rate=0.1))
    """

    recipe = "naive"

    def __init__(self, *, verified_error_rate=0.0):
        self.verified_error_rate = verified_error_rate


class NoiseOnly(Correction):
    """Flips corrected on the rated rows, selection not.

    Parameters
    ----------
    noise_estimator : NoiseTransitionEstimator or None, default=None
        Estimates the flip rates, or carries known ones. A fitted one in
        `sklearn.frozen.FrozenEstimator` is used unchanged.
    verified_error_rate : float, default=0.0
        Error rate of the person behind `verified`, below 0.5.

    Notes
    -----
    The target is ``t = (s - fpr) / (1 - fpr - fnr)`` on rated rows: unbiased if the rated rows are
    a random sample and the flip rates right.

    Examples
    --------
    >>> from skcausalrm import CausalRewardRegressor, NoiseOnly, NoiseTransitionEstimator
    >>> known = NoiseTransitionEstimator(false_positive_rate=0.1, false_negative_rate=0.2)
    >>> model = CausalRewardRegressor(NoiseOnly(noise_estimator=known))
    """

    recipe = "noise"

    def __init__(self, *, noise_estimator=None, verified_error_rate=0.0):
        self.noise_estimator = noise_estimator
        self.verified_error_rate = verified_error_rate


class InversePropensity(Correction):
    """Flips corrected, rated rows weighted by one over their propensity.

    Parameters
    ----------
    propensity_estimator : PropensityEstimator, classifier or None, default=None
        Estimates P(rated given x). A bare classifier is cross-fitted by `PropensityEstimator`; a
        fitted one in `sklearn.frozen.FrozenEstimator` is used unchanged.
    noise_estimator : NoiseTransitionEstimator or None, default=None
        Estimates the flip rates, or carries known ones.
    normalize : bool, default=True
        True scales the weights to mean 1 over the rated rows ("snips"), False does not ("ips").
        Both have the same minimiser; risk estimates of snips vary less.
    verified_error_rate : float, default=0.0
        Error rate of the person behind `verified`, below 0.5.

    Notes
    -----
    Unbiased if propensities and flip rates are right, selection depends on x alone, and every row
    can be rated (overlap). Schnabel et al. (2016); Swaminathan and Joachims (2015).

    Examples
    --------
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from skcausalrm import CausalRewardRegressor, InversePropensity
    >>> forest = RandomForestClassifier(min_samples_leaf=20, random_state=0)
    >>> model = CausalRewardRegressor(InversePropensity(propensity_estimator=forest))
    """

    def __init__(
        self,
        *,
        propensity_estimator=None,
        noise_estimator=None,
        normalize=True,
        verified_error_rate=0.0,
    ):
        self.propensity_estimator = propensity_estimator
        self.noise_estimator = noise_estimator
        self.normalize = normalize
        self.verified_error_rate = verified_error_rate

    @property
    def recipe(self) -> str:  # type: ignore[override]
        """Name of the recipe: "snips" or "ips"."""
        return "snips" if self.normalize else "ips"


class DoublyRobust(Correction):
    """Doubly robust pseudo-outcomes on all rows: right if propensity or outcome model is.

    Parameters
    ----------
    propensity_estimator : PropensityEstimator, classifier or None, default=None
        Estimates P(rated given x); see `InversePropensity`.
    outcome_estimator : regressor or None, default=None
        Outcome model m(x), fitted to the corrected labels of the rated rows, cross-fitted. A fitted
        one in `sklearn.frozen.FrozenEstimator` is used unchanged. None is a ridge regression.
    noise_estimator : NoiseTransitionEstimator or None, default=None
        Estimates the flip rates, or carries known ones.
    verified_error_rate : float, default=0.0
        Error rate of the person behind `verified`, below 0.5.

    Notes
    -----
    The target is ``m + o (t - m) / e`` (AIPW; Robins, Rotnitzky and Zhao 1994): unbiased if flip
    rates are right, selection depends on x alone, and e or m is right.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skcausalrm import CausalRewardRegressor, DoublyRobust
    >>> model = CausalRewardRegressor(DoublyRobust(propensity_estimator=LogisticRegression()))
    """

    recipe = "dr"

    def __init__(
        self,
        *,
        propensity_estimator=None,
        outcome_estimator=None,
        noise_estimator=None,
        verified_error_rate=0.0,
    ):
        self.propensity_estimator = propensity_estimator
        self.outcome_estimator = outcome_estimator
        self.noise_estimator = noise_estimator
        self.verified_error_rate = verified_error_rate


# The corrections that strings stand for; "selection" is `SelectionModel`.
DEFAULTS: dict[str, Correction] = {
    "dr": DoublyRobust(),
    "snips": InversePropensity(),
    "ips": InversePropensity(normalize=False),
    "noise": NoiseOnly(),
    "naive": Naive(),
}


def method_name(method: Any) -> str:
    """Return the recipe of a method: a name, a correction or a `SelectionModel`."""
    if isinstance(method, str):
        return method
    return "selection" if isinstance(method, SelectionModel) else method.recipe


def dropped_columns(method: str) -> list[str]:
    """Return the columns that "auto" leaves out, with its warning, where it stands for a method.

    Known propensities are not among them: where they cannot be used, that is an error.
    """
    return [name for name in unread_columns(method) if name != "propensity"]


def choose_method(feedback: Feedback, columns: RowColumns) -> str:
    """Return the name that "auto" stands for on this log.

    Warns
    -----
    MethodFallbackWarning
        If it is not "selection".
    """
    rated = feedback.values[feedback.observed]
    rarer = min((rated == 1).sum(), (rated == 0).sum())
    if not feedback.binary:
        method, reason = "dr", "the feedback is not 0/1"
    elif feedback.observed.all():
        method, reason = "noise", f"all {len(rated)} rows are rated"
    elif columns.propensity is not None:
        method, reason = "dr", "'selection' cannot use propensity"
    elif 0 < rarer < _MIN_RATED:
        method, reason = "dr", f"only {rarer} rated rows are of one class"
    else:
        return "selection"
    given = [name for name in dropped_columns(method) if getattr(columns, name) is not None]
    unused = f", and {' and '.join(given)} were not used" if given else ""
    warn(
        f"method='auto' used {method!r}, because {reason}{unused}: name a method to choose it "
        f"yourself.",
        MethodFallbackWarning,
    )
    return method
