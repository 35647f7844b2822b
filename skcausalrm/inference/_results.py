"""Results: the mean reward of a set, and the comparison of several."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..exceptions import InvalidInputError
from ..metrics._estimate import Estimate
from ._set_means import SetMeans

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class MeanReward:
    """Share of good answers in a set, with its error.

    Parameters
    ----------
    estimate : float
        Estimated mean of the unseen reward r.
    std : float
        Standard error: of the rows, clustered, and of what the log leaves open.
    low, high : float
        90% interval.
    open_std : float
        Part of the standard error that more rows do not reduce.
    n : int
        Number of rows.
    n_rated, n_verified : int
        Rows with feedback, and rows that a person has judged.
    liked : float
        Share of the rated rows that are liked, as a dashboard shows it; NaN if none is rated.
    source : {"log", "prediction-powered", "borrowed", "model"}
        What the level rests on: feedback and the selection likelihood; verified rows of the set;
        verified rows of other sets; or the model alone, where nobody could rate.

    Examples
    --------
    >>> from skcausalrm.inference import MeanReward
    >>> MeanReward(0.71, 0.03, 0.66, 0.76, 0.01, 900, 180, 25, 0.64, "prediction-powered")
    71% good (66% to 76%), 900 rows, 180 rated, 25 verified: prediction-powered
    """

    estimate: float
    std: float
    low: float
    high: float
    open_std: float
    n: int
    n_rated: int
    n_verified: int
    liked: float
    source: str

    @property
    def interval(self) -> tuple[float, float]:
        """The 90% interval."""
        return self.low, self.high

    def __repr__(self) -> str:
        counts = f"{self.n:,} rows, {self.n_rated:,} rated, {self.n_verified:,} verified"
        share = f"{self.estimate:.0%} good ({self.low:.0%} to {self.high:.0%})"
        return f"{share}, {counts}: {self.source}"


@dataclass(frozen=True, eq=False)
class Comparison:
    """Mean rewards of several sets and their differences, as `compare` returns them.

    Parameters
    ----------
    sets : dict of str to MeanReward
        In the order of their names.
    baseline : str
        The set from which differences are taken in `table`: the best one unless chosen.
    means : SetMeans
        The sets' means with one error for all.
    """

    sets: dict[Any, MeanReward]
    baseline: Any
    means: SetMeans

    @property
    def order(self) -> list[Any]:
        """The sets, best first."""
        return sorted(self.sets, key=lambda name: -self.sets[name].estimate)

    @property
    def naive_order(self) -> list[Any]:
        """The sets with ratings by their raw share of liked answers."""
        rated = [name for name, one in self.sets.items() if one.n_rated]
        return sorted(rated, key=lambda name: -self.sets[name].liked)

    def difference(self, name, other) -> Estimate:
        """Return the mean reward of one set minus that of another, with its error.

        Parameters
        ----------
        name, other : str
            Sets.

        Returns
        -------
        Estimate
            ``score``, ``std``, the 90% interval ``low`` and ``high``, and ``open_std``. What the
            log leaves open moves both sets alike, so this is less than the sets' own intervals
            suggest.

        Raises
        ------
        InvalidInputError
            If there is no such set.
        """
        return self.means.contrast(self._weights(name, other))

    def probability_better(self, name, other) -> float:
        """Return the probability that one set is better than another.

        Parameters
        ----------
        name, other : str
            Sets.

        Returns
        -------
        float
            The same for all that the log leaves open; 0.5 for a set and itself.
        """
        return self.means.probability_positive(self._weights(name, other))

    def table(self, baseline=None) -> pd.DataFrame:
        """Return one row for each set, the best first.

        Parameters
        ----------
        baseline : str or None, default=None
            Another set to take differences from.

        Returns
        -------
        DataFrame
            Indexed by set: rows, rated_share, liked_share, estimate, std, low, high, rank,
            naive_rank, difference, difference_low, difference_high, better (the probability that
            the set is better than the baseline), verified and source.

        Raises
        ------
        InvalidInputError
            If there is no such set.
        """
        import pandas as pd

        baseline = self.baseline if baseline is None else baseline
        naive = {name: rank for rank, name in enumerate(self.naive_order, 1)}
        rows = []
        for rank, name in enumerate(self.order, 1):
            one, gap = self.sets[name], self.difference(name, baseline)
            same = name == baseline
            rows.append(
                {
                    "rows": one.n,
                    "rated_share": one.n_rated / one.n,
                    "liked_share": one.liked,
                    "estimate": one.estimate,
                    "std": one.std,
                    "low": one.low,
                    "high": one.high,
                    "rank": rank,
                    "naive_rank": naive.get(name, np.nan),
                    "difference": 0.0 if same else gap.score,
                    "difference_low": 0.0 if same else gap.low,
                    "difference_high": 0.0 if same else gap.high,
                    "better": np.nan if same else self.probability_better(name, baseline),
                    "verified": one.n_verified,
                    "source": one.source,
                }
            )
        return pd.DataFrame(rows, index=pd.Index(self.order, name="set"))

    def differences(self) -> pd.DataFrame:
        """Return one row for each pair of sets, the better of the two first.

        Returns
        -------
        DataFrame
            Indexed by set and other: difference, std, the 90% interval low and high, and better,
            the probability that the set is better. ``to_latex`` writes it for a paper.
        """
        import pandas as pd

        rows = {}
        for name, other in combinations(self.order, 2):
            gap = self.difference(name, other)
            rows[name, other] = {
                "difference": gap.score,
                "std": gap.std,
                "low": gap.low,
                "high": gap.high,
                "better": self.probability_better(name, other),
            }
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["set", "other"])

    def verdict(self) -> str:
        """Return in a sentence or two which set is best, how sure, and what raw thumbs say.

        Returns
        -------
        str
            Text for people; the numbers are in `difference` and `table`.
        """
        best, second = self.order[:2]
        sure = self.probability_better(best, second)
        gap = self.difference(best, second)
        certain = "is better than" if gap.low > 0 else "may be better than"
        points, low, high = (100 * value for value in (gap.score, gap.low, gap.high))
        first = (
            f"{best} {certain} {second} by {points:.1f} points ({low:.1f} to {high:.1f}; "
            f"probability {sure:.2f})."
        )
        naive = self.naive_order
        if len(naive) < 2:
            return first
        if [name for name in self.order if name in naive] == naive:
            return f"{first} Raw thumbs give the same order."
        return f"{first} Raw thumbs give another order: {', '.join(map(str, naive))}."

    def __repr__(self) -> str:
        lines = [f"{name}: {self.sets[name]!r}" for name in self.order]
        return "\n".join([*lines, self.verdict()])

    def _weights(self, name, other) -> NDArray[np.float64]:
        weights = np.zeros(len(self.means.draws))
        names = list(self.sets)
        for one, sign in ((name, 1.0), (other, -1.0)):
            if one not in self.sets:
                raise InvalidInputError(
                    f"There is no set {one!r}: choose one of {', '.join(map(repr, names[:10]))}."
                )
            weights[names.index(one)] += sign
        return weights
