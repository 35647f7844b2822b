"""What a report says: the answer, pictures, and the answers that naive gets wrong."""

import warnings
from collections.abc import Iterator
from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from .. import CausalRewardRegressor, PropensityEstimator, SelectionModel
from .._utils._columns import RowColumns
from .._utils._validation import check_feedback
from ..datasets._labels import answer_texts
from ..exceptions import (
    BaseRateUncertainWarning,
    FeedbackError,
    InvalidInputError,
    SkcausalrmWarning,
)
from ..inference import Comparison, compare, mean_reward
from ..inspection import (
    BalanceDisplay,
    BaseRateDisplay,
    CalibrationDisplay,
    DriftDisplay,
    HabitDisplay,
    OverlapDisplay,
    SensitivityDisplay,
    TransitionDisplay,
    WeightsDisplay,
)
from ..model_selection._cross_fitting import make_folds
from ..reward._evidence import naive_ranking
from ..selection._draws import N_DRAWS, outcome_draws
from ._fitting import columns_read, correction
from ._logs import FeedbackLog
from ._report_pictures import LACKS, Draw, draw_pictures
from ._screen import harmless

# Answers of each kind that are shown, and their longest text.
_SHOWN, _LONGEST = 5, 1500
_BY = "Shares of good answers are by the selection likelihood."
# Selection log odds of the picture of sensitivity: factors of the odds of up to seven.
_LOG_ODDS = (-2.0, -1.0, 0.0, 1.0, 2.0)


class Refit:
    """The model's method fitted on the logs of the report: what its evidence is computed from.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    log : FeedbackLog
    method : str
    known_rates : dict of str to float or None
    base_rate : float, (float, float) or None
    random_state : int

    Attributes
    ----------
    reward : CausalRewardRegressor or None
        None where the logs do not allow it.
    selection : SelectionModel or None
        Fitted without the verified rows, which then settle what the log leaves open; with them
        where there is no other way (`uses_verified`).
    uses_verified : bool
    reason, selection_reason : str
        Why there is none.
    """

    def __init__(
        self,
        X: np.ndarray,
        log: FeedbackLog,
        method: str,
        known_rates,
        base_rate,
        random_state: int,
    ):
        self.reward: CausalRewardRegressor | None = None
        self.selection: SelectionModel | None = None
        self.reason = self.selection_reason = ""
        self.uses_verified = False
        columns = columns_read(method, {**log.columns, **log.sources.columns})
        try:
            chosen = correction(method, known_rates, base_rate, log.y)
            reward = CausalRewardRegressor(chosen, random_state=random_state)
            self.reward = reward.fit(X, log.y, **log.clusters(), **columns)
        except LACKS as error:
            self.reason = str(error)
        if method == "selection" and self.reward is not None and "verified" not in columns:
            self.selection = self.reward.nuisances_.selection_model
            return
        columns = {**log.columns, **log.sources.columns}
        columns.pop("verified", None)
        model = SelectionModel(base_rate=base_rate, **known_rates, random_state=random_state)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BaseRateUncertainWarning)
            try:
                self.selection = model.fit(X, log.y, **log.clusters(), **columns)
            except LACKS as error:
                own = None if self.reward is None else self.reward.nuisances_.selection_model
                self.selection, self.uses_verified = own, own is not None
                self.selection_reason = str(error)


def find_answer(refit: Refit, X: np.ndarray, log: FeedbackLog, systems: Any) -> dict[str, Any]:
    """Return the headline, further sentences, and a row for each system where there are several.

    Parameters
    ----------
    refit : Refit
    X : ndarray of shape (n, d)
    log : FeedbackLog
    systems : Series or None
        The system behind each answer.
    """
    rated = ~np.isnan(log.y)
    liked = f"{log.y[rated].mean():.0%} of {rated.sum():,} ratings are likes."
    if refit.selection is None:
        lack = f"No share of good answers is estimated: {refit.selection_reason}"
        return {"headline": liked, "sentences": [lack], "rows": []}
    columns = {**log.clusters(), **log.columns}
    if refit.uses_verified:
        del columns["verified"]
    if "verified" in columns:
        columns["verified_propensity"] = log.verified_propensity
    several = systems is not None and systems.nunique() > 1
    try:
        if several:
            by = systems.astype(object).where(systems.isna(), systems.astype(str)).to_numpy()
            found = compare(refit.selection, X, log.y, by=by, **columns)
            note = f"{_BY} Points: how many more of 100 answers are good than with the best system."
            return {
                "headline": harmless(found.verdict()),
                "sentences": [note],
                "rows": list(_system_rows(found)),
            }
        one = mean_reward(refit.selection, X, log.y, **columns)
    except LACKS as error:
        return {"headline": liked, "sentences": [str(error)], "rows": []}
    what = "of the answers are good" if systems is None else "of the one system's answers are good"
    headline = f"{one.estimate:.0%} {what} ({one.low:.0%} to {one.high:.0%}, 90% interval)."
    return {
        "headline": headline,
        "sentences": [liked, f"{_BY} Level from: {one.source}."],
        "rows": [],
    }


def _system_rows(found: Comparison) -> Iterator[dict[str, Any]]:
    for name, row in found.table().iterrows():
        rated = bool(row.rated_share)
        gap = "{:+.0f} ({:+.0f} to {:+.0f})".format(
            *(
                round(100 * value) + 0.0
                for value in (row.difference, row.difference_low, row.difference_high)
            )
        )
        yield {
            "name": harmless(str(name)),
            "n": f"{row.rows:,}",
            "rated": f"{row.rated_share:.0%}",
            "liked": f"{row.liked_share:.0%}" if rated else "-",
            "good": f"{row.estimate:.0%} ({100 * row.low:.0f} to {100 * row.high:.0f})",
            "low": round(100 * row.low, 1),
            "high": round(100 * row.high, 1),
            "at": round(100 * row.estimate, 1),
            "liked_at": round(100 * row.liked_share, 1) if rated else None,
            "rank": f"{row['rank']} ({row.naive_rank:.0f})" if rated else f"{row['rank']}",
            "points": "" if name == found.baseline else gap,
            "source": f"{row.verified:,} verified" if row.verified else row.source,
        }


def find_pictures(
    refit: Refit, X: np.ndarray, log: FeedbackLog, prediction: np.ndarray, n_shared: int
) -> dict[str, list]:
    """Return the Displays that apply, drawn, and why the others do not.

    Parameters
    ----------
    refit : Refit
    X : ndarray of shape (n, d)
    log : FeedbackLog
    prediction : ndarray of shape (n,)
        The model's rewards.
    n_shared : int
        Prompts of the log that the model was trained on.
    """
    verified = log.columns.get("verified")
    by_row = {**log.columns, **log.sources.columns, **log.clusters()}
    wanted: list[tuple[str, str, Draw]] = []

    def add(title: str, caption: str, draw: Any) -> None:
        wanted.append((title, caption, draw))

    draws = cache(partial(_draws, refit, log))
    model = refit.reward if refit.reward is not None else refit.selection
    add(
        "Base rate",
        "How well the share of good answers over all rows is known.",
        lambda ax: BaseRateDisplay.from_estimator(
            _there(model, refit.reason), verified=verified, **log.clusters(), ax=ax
        ),
    )
    add(
        "Calibration",
        "Share of good answers by this model's reward, on draws of what the log leaves open."
        + f" {n_shared:,} of the prompts were trained on." * (n_shared > 0),
        lambda ax: CalibrationDisplay.from_predictions(
            draws(), prediction, **log.clusters(), ax=ax
        ),
    )
    add(
        "Sensitivity to selection",
        "Base rate and mean reward if liked answers were rated so much more often than others.",
        lambda ax: SensitivityDisplay.from_estimator(
            _there(refit.selection, refit.selection_reason),
            X,
            log.y,
            selection_log_odds=_LOG_ODDS,
            **by_row,
            ax=ax,
        ),
    )
    add(
        "Flips",
        "How often feedback says the opposite of what the answer is worth.",
        lambda ax: TransitionDisplay.from_estimator(_there(model, refit.reason), ax=ax),
    )
    if log.users is not None:
        add(
            "Who rates",
            "How many of the ratings the keenest users leave.",
            lambda ax: HabitDisplay.from_feedback(log.y, log.users, ax=ax),
        )
    if "timestamp" in log.frame.columns:
        add(
            "Drift",
            "Share rated, reward and level by week, and whether one of them has moved.",
            lambda ax: DriftDisplay.from_predictions(
                draws(), prediction, log.y, log.frame["timestamp"], **log.clusters(), ax=ax
            ),
        )
    propensity = cache(partial(_propensity, refit, X, log))
    add(
        "Overlap",
        "Whether every kind of answer gets feedback.",
        lambda ax: OverlapDisplay.from_predictions(propensity(), log.y, ax=ax),
    )
    add(
        "Balance",
        "How far rated rows differ from all along leading components, with weights and without.",
        lambda ax: BalanceDisplay.from_predictions(propensity(), X, log.y, ax=ax),
    )
    if refit.reward is not None and refit.reward.method_ in ("ips", "snips", "dr"):
        add(
            "Weights",
            "How much of the weight the heaviest rated rows carry.",
            lambda ax: WeightsDisplay.from_predictions(propensity(), log.y, ax=ax),
        )
    return draw_pictures(wanted)


def _there(model: Any, reason: str) -> Any:
    if model is None:
        raise InvalidInputError(reason)
    return model


def _draws(refit: Refit, log: FeedbackLog) -> np.ndarray:
    """Return draws of the clean labels by the selection model that has seen all there is."""
    reward = refit.reward
    model = None if reward is None else reward.nuisances_.selection_model
    model = _there(refit.selection if model is None else model, refit.selection_reason)
    columns = RowColumns(asked=log.columns.get("asked"), verified=log.columns.get("verified"))
    return outcome_draws(model, log.y, columns, N_DRAWS, 0)


def _propensity(refit: Refit, X: np.ndarray, log: FeedbackLog) -> np.ndarray:
    reward = refit.reward
    estimator = None if reward is None else reward.nuisances_.propensity_estimator
    if estimator is None or len(estimator.oof_propensity_) != len(log.y):
        rated = ~np.isnan(log.y)
        if rated.all():
            raise FeedbackError("every row is rated.")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SkcausalrmWarning)  # CRM001 tells
            estimator = PropensityEstimator(random_state=0).fit(X, rated, groups=log.groups)
    return estimator.oof_propensity_


def find_differing(
    X: np.ndarray, log: FeedbackLog, prediction: np.ndarray, systems: Any, random_state: int
) -> dict[str, Any]:
    """Return the answers whose places differ most between raw thumbs and the model, with texts."""
    rated = ~np.isnan(log.y)
    if len(np.unique(log.y[rated])) < 2:
        return {"reason": "All ratings are alike, so raw thumbs rank nothing.", "parts": []}
    feedback = check_feedback(X, log.y)
    folds = make_folds(X, log.y, log.groups, 5, random_state)
    naive = naive_ranking(X, feedback, RowColumns(groups=log.groups), folds)
    naive_place, place = (rankdata(values) / len(values) for values in (naive, prediction))
    gap = naive_place - place
    # An answer that occurs often is shown once.
    first = np.flatnonzero(~log.text.astype(str).duplicated().to_numpy())
    order = first[np.argsort(gap[first], kind="stable")]
    n = min(_SHOWN, len(order) // 2)
    parts = []
    for title, rows in (
        ("Thumbs rank these too high", order[::-1][:n]),
        ("Thumbs rank these too low", order[:n]),
    ):
        rows = rows[gap[rows] != 0]
        prompts, completions = answer_texts(log.frame.iloc[rows])
        parts.append(
            {
                "title": title,
                "answers": [
                    {
                        "prompt": _shorten(prompt),
                        "completion": _shorten(completion),
                        "naive_place": f"{naive_place[row]:.0%}",
                        "place": f"{place[row]:.0%}",
                        "reward": f"{prediction[row]:.2f}",
                        "feedback": _feedback(log.y[row]),
                        "system": _name(systems, row),
                    }
                    for row, prompt, completion in zip(rows, prompts, completions, strict=True)
                ],
            }
        )
    return {"reason": "", "parts": [part for part in parts if part["answers"]]}


def _feedback(value: float) -> str:
    return "not rated" if np.isnan(value) else "liked" if value else "disliked"


def _name(systems: Any, row: int) -> str:
    return "" if systems is None or pd.isna(systems.iloc[row]) else harmless(str(systems.iloc[row]))


def _shorten(text: str) -> str:
    text = harmless(text)
    more = len(text) - _LONGEST
    return text if more <= 0 else f"{text[:_LONGEST]}… ({more:,} more characters)"
