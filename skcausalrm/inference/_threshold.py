"""`threshold_for`: from which reward on few enough answers are bad, and how sure that is."""

import math
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, betainc, betaincinv

from .._utils._validation import check_propensity, check_verified
from ..exceptions import FeedbackError, InvalidInputError, ThresholdError
from ._row_rewards import out_of_fold_rewards

# Stakes of the bets on weighted rows: sqrt(2 log(1/0.1)), and the largest that no row can ruin.
_BOLDNESS, _LARGEST_STAKE = 2.15, 0.9
# Times as many bad answers as the rewards promise: their level is a guess, and too low a start is
# never recovered from.
_CAUTION = 1.5
# Most candidates for a threshold: numbers of verified rows above it.
_CANDIDATES = 25

Array = NDArray[np.float64]


@dataclass(frozen=True)
class RewardThreshold:
    """A reward from which on few answers are bad, as `threshold_for` finds it.

    Parameters
    ----------
    threshold : float
        Answers with at least this reward are accepted.
    max_bad : float
        Share of bad answers among the accepted that is allowed.
    confidence : float
        Probability, over the drawing of verified rows, that no more are bad.
    bad_bound : float
        Upper confidence bound of the share of bad answers among those accepted.
    accepted_share : float
        Share of the rows that are accepted.
    n_verified, n_accepted, n_bad : int
        Verified rows, those of them that are accepted, and those of these that are bad.

    Examples
    --------
    >>> from skcausalrm.inference import RewardThreshold
    >>> found = RewardThreshold(0.8, 0.1, 0.9, 0.09, 0.45, 200, 84, 3)
    >>> found.accepts([0.79, 0.8]).tolist()
    [False, True]
    """

    threshold: float
    max_bad: float
    confidence: float
    bad_bound: float
    accepted_share: float
    n_verified: int
    n_accepted: int
    n_bad: int

    def accepts(self, rewards) -> NDArray[np.bool_]:
        """Return whether answers with these rewards are accepted.

        Parameters
        ----------
        rewards : array-like of shape (n,)
            Rewards of the model that the threshold is for.

        Returns
        -------
        ndarray of bool, shape (n,)
            True from the threshold on.
        """
        return np.asarray(rewards) >= self.threshold

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers by name, as an exported file keeps them.

        Returns
        -------
        dict
            Parameters of this class.
        """
        return asdict(self)


class _Judged(NamedTuple):
    """Verified rows by falling reward."""

    reward: Array
    bad: Array
    inverse: Array


def threshold_for(
    model, X, y=None, *, verified, max_bad=0.1, confidence=0.9, verified_propensity=None
) -> RewardThreshold:
    """Find the lowest reward from which on few enough answers are bad, with a stated confidence.

    Parameters
    ----------
    model : object with ``predict(X)``
        Fitted reward, or a `RewardScorer`. Its fit must not have used the labels in `verified`.
    X : array-like of shape (n, d)
        Embeddings; or whatever `predict` takes.
    y : array-like of shape (n,), default=None
        Feedback of the rows, if the model was fitted on them: each is then judged out of fold
        ("selection" only). None: other rows.
    verified : array-like of shape (n,)
        1 or 0 where a careful person has judged the answer, NaN elsewhere. 100 to 200 rows drawn at
        random; no fewer than 22 can do for the default risk.
    max_bad : float, default=0.1
        Allowed share of bad answers among those accepted.
    confidence : float, default=0.9
        Probability, over the drawing of verified rows, with which that holds.
    verified_propensity : array-like of shape (n,), default=None
        Probability with which each row was picked to be verified. None: at random.

    Returns
    -------
    RewardThreshold
        The threshold, what it rests on, and ``accepts(rewards)``.
        `skcausalrm.export.keep_threshold` writes it into an exported model.

    Raises
    ------
    ThresholdError
        If no threshold can be certified: the message says how far the verified rows are from it.
    FeedbackError
        If no row is verified, or the model was fitted on these labels.
    InvalidInputError
        If `max_bad`, `confidence` or a propensity is impossible.

    Notes
    -----
    Learn then test (Angelopoulos, Bates, Candes, Jordan and Lei, 2021, arXiv 2110.01052). For each
    of up to 25 thresholds, "more than `max_bad` of the accepted are bad" is a hypothesis. Its
    p-value is the binomial tail of the bad among the accepted verified rows, which is exact, or
    where the propensities of the accepted rows differ, verified or not, that of a betting
    martingale on the weighted excess (Waudby-Smith and Ramdas, 2024, arXiv 2010.09686). They are
    tested in a fixed sequence: from the threshold at which the model's own rewards promise the
    clearest case downwards, until one is not rejected. The sequence depends on rewards alone, so
    the confidence holds whatever the model is worth; a poor model only has no threshold, or one
    that accepts little.

    It holds for answers like the verified ones, taken as independent. A policy that was optimised
    against the reward gives other answers: verify some of those.

    Examples
    --------
    >>> import numpy as np
    >>> from skcausalrm import SelectionModel
    >>> from skcausalrm.datasets import make_observational_feedback
    >>> from skcausalrm.inference import threshold_for
    >>> log = make_observational_feedback(6000, 8, base_rate=0.7, signal="strong", n_verified=200,
    ...                                   random_state=1)
    >>> model = SelectionModel(random_state=0).fit(log.X[:4000], log.y[:4000])
    >>> new, verified = log.X[4000:], np.where(np.arange(2000) < 200, log.reward[4000:], np.nan)
    >>> found = threshold_for(model, new, verified=verified, max_bad=0.15)
    >>> accepted = found.accepts(model.predict_proba(new)[:, 1])
    >>> bool(1 - log.reward[4000:][accepted].mean() < 0.15)
    True
    """
    for name, value in (("max_bad", max_bad), ("confidence", confidence)):
        if not 0 < value < 1:
            raise InvalidInputError(f"{name} is {value!r}, but must lie between 0 and 1.")
    reward = out_of_fold_rewards(model, X, y, verified)
    label = check_verified(verified, len(reward))
    if label is None or np.isnan(label).all():
        raise FeedbackError(
            f"None of the {len(reward)} rows is verified, and a threshold rests on verified rows "
            f"alone: have 100 to 200 drawn at random judged (`skcausalrm label`)."
        )
    inverse = np.ones(len(reward))
    if verified_propensity is not None:
        name = "verified_propensity"
        inverse = 1 / check_propensity(verified_propensity, len(reward), name)
    rows = np.flatnonzero(~np.isnan(label))
    rows = rows[np.argsort(-reward[rows], kind="stable")]
    judged = _Judged(reward[rows], 1 - label[rows], inverse[rows])
    counts = _candidates(judged, max_bad, confidence)
    certified, exact = None, True
    for count in counts:
        accepted = inverse[reward >= judged.reward[count - 1]]
        if _p_value(judged, count, max_bad, accepted) > 1 - confidence:
            break
        certified, exact = count, np.ptp(accepted) == 0
    if certified is None:
        accepted = inverse[reward >= judged.reward[counts[0] - 1]]
        raise ThresholdError(_why_not(judged, counts, max_bad, confidence, accepted))
    n_bad = int(judged.bad[:certified].sum())
    threshold = float(judged.reward[certified - 1])
    return RewardThreshold(
        threshold=threshold,
        max_bad=float(max_bad),
        confidence=float(confidence),
        bad_bound=_upper(n_bad, certified, confidence) if exact else float(max_bad),
        accepted_share=float((reward >= threshold).mean()),
        n_verified=len(rows),
        n_accepted=int(certified),
        n_bad=n_bad,
    )


def _candidates(judged: _Judged, max_bad: float, confidence: float) -> list[int]:
    """Return numbers of accepted verified rows, from the most promising by rewards upwards."""
    n = len(judged.reward)
    fewest = min(_least_rows(max_bad, confidence), n)
    counts = np.unique(np.linspace(fewest, n, _CANDIDATES).astype(int))
    # Rows of equal reward are accepted together.
    counts = np.unique(np.searchsorted(-judged.reward, -judged.reward[counts - 1], side="right"))
    expected = np.cumsum(1 - np.clip(judged.reward, 0, 1))[counts - 1]
    expected = np.minimum(_CAUTION * expected, counts)
    promised = betainc(np.maximum(counts - expected, 1e-9), expected + 1, 1 - max_bad)
    return counts[np.argmin(promised) :].tolist()


def _least_rows(max_bad: float, confidence: float) -> int:
    """Return how many accepted rows certify a threshold if none of them is bad."""
    return math.ceil(math.log(1 - confidence) / math.log(1 - max_bad))


def _p_value(judged: _Judged, count: int, max_bad: float, accepted: Array) -> float:
    """Return the p-value of more than `max_bad` bad answers among the rows accepted.

    Parameters
    ----------
    judged : _Judged
    count : int
        Verified rows that are accepted.
    max_bad : float
    accepted : ndarray
        Inverse propensities of all rows accepted, verified or not.
    """
    bad, inverse = judged.bad[:count], judged.inverse[:count]
    if np.ptp(accepted) == 0:
        return float(bdtr(bad.sum(), count, max_bad))
    largest = accepted.max()
    # The mean of this excess is at least 0 if more are bad, and it is at most 1 - max_bad. Whoever
    # bets on less than 0, each stake by the rows before, then multiplies his money by over k with a
    # probability of 1/k at most.
    order = np.random.default_rng(0).permutation(count)
    excess = ((bad - max_bad) * inverse / largest)[order]
    guess = max_bad * (1 - max_bad) * (inverse / largest).mean() ** 2
    seen = np.concatenate([[0.0], np.cumsum(excess**2)[:-1]])
    variance = (guess + seen) / np.arange(1, count + 1)
    stake = np.minimum(_BOLDNESS / np.sqrt(count * variance), _LARGEST_STAKE / (1 - max_bad))
    return float(np.exp(-max(0.0, np.cumsum(np.log1p(-stake * excess)).max())))


def _upper(n_bad: int, n: int, confidence: float) -> float:
    """Return the Clopper-Pearson upper bound of a share."""
    return 1.0 if n_bad == n else float(betaincinv(n_bad + 1, n - n_bad, confidence))


def _why_not(
    judged: _Judged, counts: list[int], max_bad: float, confidence: float, accepted: Array
) -> str:
    n, least = len(judged.reward), _least_rows(max_bad, confidence)
    said = (
        f"No threshold has at most {100 * max_bad:g}% bad answers with confidence "
        f"{100 * confidence:g}%: "
    )
    if n < least:
        return (
            f"{said}{n} rows are verified, and even without a bad one it takes {least}: have more "
            f"judged."
        )
    first = counts[0]
    n_bad = int(judged.bad[:first].sum())
    if np.ptp(accepted) > 0:
        return (
            f"{said}of the {first} verified rows with the highest rewards {n_bad} are bad, and "
            f"they stand for {len(accepted)} rows whose propensities differ by up to a factor of "
            f"{accepted.max() / accepted.min():.3g}: have more of the rows judged that were least "
            f"likely to be, or allow more."
        )
    return (
        f"{said}of the {first} verified rows with the highest rewards {n_bad} are bad, so up to "
        f"{_upper(n_bad, first, confidence):.0%} of such answers may be: have more judged, allow "
        f"more, or fit a better reward."
    )
