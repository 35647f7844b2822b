"""What a user knows of the log beforehand, and what the selection likelihood found, as JSON."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from .. import CausalRewardRegressor, NoiseTransitionEstimator, SelectionModel

__all__ = ["Known", "parse_base_rate", "selection_facts"]


@dataclass(frozen=True)
class Known:
    """Known flip rates and base rate, each None where unknown.

    Attributes
    ----------
    base_rate : float, (float, float) or None
        As `SelectionModel` takes it.
    """

    false_positive_rate: float | None = None
    false_negative_rate: float | None = None
    base_rate: float | tuple[float, float] | None = None

    @property
    def flip_rates(self) -> tuple[float | None, float | None]:
        return self.false_positive_rate, self.false_negative_rate

    def noise_estimator(self, random_state: int) -> NoiseTransitionEstimator | None:
        """Return an estimator with the flip rates, or None if neither is known."""
        from .. import NoiseTransitionEstimator

        if self.flip_rates == (None, None):
            return None
        return NoiseTransitionEstimator(
            false_positive_rate=self.false_positive_rate,
            false_negative_rate=self.false_negative_rate,
            random_state=random_state,
        )

    def selection_model(self, random_state: int) -> SelectionModel | None:
        """Return a model with what is known, or None if nothing is."""
        from .. import SelectionModel

        if self == Known():
            return None
        return SelectionModel(
            base_rate=self.base_rate,
            false_positive_rate=self.false_positive_rate,
            false_negative_rate=self.false_negative_rate,
            random_state=random_state,
        )


def parse_base_rate(text: str | None) -> float | tuple[float, float] | None:
    """Read ``P`` or ``P:SD``.

    Raises
    ------
    BadParameter
        If P does not lie between 0 and 1, or SD is not positive.

    Examples
    --------
    >>> parse_base_rate("0.8"), parse_base_rate("0.8:0.3")
    (0.8, (0.8, 0.3))
    """
    if text is None:
        return None
    try:
        rate, *std = map(float, text.split(":"))
    except ValueError:
        rate, std = math.nan, []
    if not (0 < rate < 1 and len(std) <= 1 and all(0 < value < math.inf for value in std)):
        raise typer.BadParameter(
            f"--base-rate {text} must be a share between 0 and 1, or one with the standard "
            "deviation of its log odds, such as 0.8 or 0.8:0.3."
        )
    return (rate, std[0]) if std else rate


def selection_facts(reward: CausalRewardRegressor) -> dict[str, Any] | None:
    """What the selection likelihood of a fit found; with "auto" also advice and other recipes.

    Numbers that could not be learned are None.
    """
    model = reward.selection_model_
    if model is None:
        return None
    from ..reward._report import posterior_facts

    return _plain(reward.selection_report_ or posterior_facts(model))


def _plain(value: Any) -> Any:
    """As JSON holds it: text keys, lists, and None for NaN."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, str | int):
        return value
    return None if math.isnan(value) else float(value)
