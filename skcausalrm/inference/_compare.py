"""`mean_reward` and `compare`: how good a set of answers is, and which system is better."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from .._utils._clusters import group_codes
from .._utils._columns import RowColumns, check_columns
from .._utils._validation import check_propensity
from .._utils._warnings import warn
from ..exceptions import AssumptionWarning, FeedbackError, InvalidInputError
from ._judged_means import judged_means
from ._results import Comparison, MeanReward
from ._row_rewards import read_rewards
from ._set_means import SetMeans, means_of_sets, shares_of, shares_of_raters
from ._sets import Sets, check_rows, paired_weight, sets_of

# Standard deviation of a set's mean around what the likelihood says of it: users slip more often
# with some systems, or rate them by a slightly different rule, as the real votes of
# benchmarks/real_systems.py show.
_SET_STD = 0.03
# Standard deviation between users of what their ratings say of a set's mean, because each slips at
# a rate of their own: of little account with many raters, and on those votes 4 points with 15.
_RATER_STD = 0.16
# p-value of the verified rows, given the log, below which they contradict it.
_CONTRADICTED = 0.02


def mean_reward(
    model,
    X,
    y=None,
    *,
    rows=None,
    groups=None,
    users=None,
    sample_weight=None,
    asked=None,
    verified=None,
    verified_propensity=None,
    judge_score=None,
    trust_log=True,
    random_state=0,
) -> MeanReward:
    """Estimate the share of good answers in a set, with an interval.

    Parameters
    ----------
    model : SelectionModel, CausalRewardRegressor or CausalRewardClassifier
        Fitted by "selection", on these rows (then each is judged out of fold) or on others.
    X : array-like of shape (n, d)
        Embeddings.
    y : array-like of shape (n,), default=None
        Feedback, NaN where there is none. None: answers that nobody could rate, such as those of a
        candidate; the model alone then speaks for them.
    rows : array-like of bool, shape (n,), default=None
        The set, as a part of the rows; the others can still tell the level. None: all rows.
    groups, users : array-like of shape (n,), default=None
        Conversation or prompt ids, and user ids: clusters of the standard error.
    sample_weight : array-like of shape (n,), default=None
        Weights of the mean.
    asked : array-like of bool, shape (n,), default=None
        Rows whose feedback was asked for at random, as in `fit`.
    verified : array-like of shape (n,), default=None
        1 or 0 where a careful person has judged the answer, NaN elsewhere. The model must not have
        been fitted on these labels.
    verified_propensity : array-like of shape (n,), default=None
        Probability with which each row was picked to be verified. None: at random.
    judge_score : array-like of shape (n,), default=None
        An LLM judge's score of every row. It is not trusted: verified rows say what it is worth.
    trust_log : bool, default=True
        False: sets with verified rows rest on these alone, with model and judge as helpers that
        need not be right. It takes more verified rows.
    random_state : int, RandomState or None, default=0
        Seed of draws and folds.

    Returns
    -------
    MeanReward
        Estimate, standard error, 90% interval, counts and source.

    Raises
    ------
    InvalidInputError
        If the model is not one by "selection", or a column holds what it cannot hold.
    FeedbackError
        If no row is rated, no row is of the set, the model was fitted on `verified`, or
        ``trust_log=False`` and no verified row is in the set.
    GroupsError
        If groups or users are not one id per row, or all rows share one.

    See Also
    --------
    compare : Several sets, and their differences.

    Notes
    -----
    See `compare`.

    Examples
    --------
    >>> from skcausalrm import SelectionModel
    >>> from skcausalrm.datasets import make_observational_feedback
    >>> from skcausalrm.inference import mean_reward
    >>> log = make_observational_feedback(3000, 8, selection="reward", n_verified=60,
    ...                                   random_state=0)
    >>> model = SelectionModel(random_state=0).fit(log.X, log.y)
    >>> found = mean_reward(model, log.X, log.y, verified=log.verified)
    >>> bool(found.low < log.reward.mean() < found.high), found.source
    (True, 'prediction-powered')
    """
    n = len(X)
    inside = np.ones(n, dtype=bool) if rows is None else check_rows(rows, n)
    sets = Sets(["set"], np.where(inside, 0, 1))
    columns = check_columns(X, groups, users, sample_weight, asked, verified, None, judge_score)
    inverse = _inverse(verified_propensity, n)
    found, _ = _measure(model, X, y, sets, columns, inverse, False, trust_log, random_state)
    return found["set"]


def compare(
    model,
    X,
    y=None,
    *,
    by,
    baseline=None,
    paired=False,
    groups=None,
    users=None,
    sample_weight=None,
    asked=None,
    verified=None,
    verified_propensity=None,
    judge_score=None,
    trust_log=True,
    random_state=0,
) -> Comparison:
    """Compare the systems of a log: which is better, by how much, and how sure.

    Parameters
    ----------
    model : SelectionModel, CausalRewardRegressor or CausalRewardClassifier
        As in `mean_reward`.
    X : array-like of shape (n, d)
        Embeddings of the answers of all systems.
    y : array-like of shape (n,), default=None
        Feedback, NaN where there is none. None: answers that nobody could rate.
    by : array-like of shape (n,)
        The system behind each answer, such as the log's column ``model``. Rows without one belong
        to no set.
    baseline : str or None, default=None
        The set from which differences are taken. None: the best one.
    paired : bool, default=False
        Compare only on groups (prompts) that hold answers of every system, each counting once, so
        that no system has the easier prompts.
    groups, users, sample_weight, asked : array-like of shape (n,), default=None
        As in `mean_reward`. Groups that several systems share make differences more certain.
    verified, verified_propensity, judge_score : array-like of shape (n,), default=None
        As in `mean_reward`.
    trust_log, random_state : bool, int, RandomState or None
        As in `mean_reward`.

    Returns
    -------
    Comparison
        ``sets``, ``table()``, ``difference(a, b)``, ``verdict()``.

    Raises
    ------
    InvalidInputError, FeedbackError, GroupsError
        As in `mean_reward`; also if there are fewer than two systems or over a hundred, if the
        baseline is none of them, or if `paired` and no group holds answers of all.

    Warns
    -----
    DataLossWarning
        If rows have no system.
    AssumptionWarning
        If verified rows contradict what the log says (code "log-contradicted").

    Notes
    -----
    A set's mean is that of its pseudo-outcomes (`skcausalrm.metrics.pseudo_outcomes`), over draws
    of what the selection likelihood leaves open. Its squared error is, by the law of total
    variance, that of the rows, clustered by group and user, plus the variance between draws.

    Verified rows give a second estimate of each set that has some: the label is predicted from
    reward, posterior and judge's score by ridge regression out of fold, and the mean of the
    predictions is corrected by the mean error on the set's own verified rows (prediction-powered,
    with tuned power). Both are combined by their errors. As the draws of all sets rise and fall
    together, verified rows of one set tell the level of the others too: such sets are "borrowed",
    and keep what remains open between them. ``trust_log=False`` takes the second estimate alone.

    Each set's mean by the log has a further standard deviation of 0.03, for users who treat some
    systems a little differently, and where `users` are given one of ``0.16 / sqrt(raters)``, for
    users who slip more or less often than others; who rates several sets moves them alike. The
    error of a difference is that of the difference of each draw, not of two intervals.

    Feedback is assumed to be given to the answers of all systems by the same rule, given the
    answer's reward and x, and errs at the same rates.

    Examples
    --------
    >>> import numpy as np
    >>> from skcausalrm import SelectionModel
    >>> from skcausalrm.datasets import make_observational_feedback
    >>> from skcausalrm.inference import compare
    >>> log = make_observational_feedback(4000, 8, selection="reward", n_verified=80,
    ...                                   random_state=0)
    >>> rng = np.random.default_rng(0)
    >>> system = np.where(rng.random(4000) < 0.25 + 0.5 * log.reward, "new", "old")
    >>> model = SelectionModel(random_state=0).fit(log.X, log.y)
    >>> found = compare(model, log.X, log.y, by=system, verified=log.verified)
    >>> found.order
    ['new', 'old']
    >>> gap = found.difference("new", "old")
    >>> bool(gap.low > 0)
    True
    """
    n = len(X)
    sets = sets_of(by, n)
    if baseline is not None and baseline not in sets.names:
        known = ", ".join(map(repr, sets.names[:10]))
        raise InvalidInputError(f"baseline is {baseline!r}, but the sets are {known}: choose one.")
    columns = check_columns(X, groups, users, sample_weight, asked, verified, None, judge_score)
    inverse = _inverse(verified_propensity, n)
    found, means = _measure(model, X, y, sets, columns, inverse, paired, trust_log, random_state)
    best = max(found, key=lambda name: found[name].estimate)
    return Comparison(found, best if baseline is None else baseline, means)


def _inverse(propensity, n: int) -> NDArray[np.float64]:
    if propensity is None:
        return np.ones(n)
    return 1 / check_propensity(propensity, n, "verified_propensity")


def _measure(
    model,
    X,
    y,
    sets: Sets,
    columns: RowColumns,
    inverse: NDArray,
    paired: bool,
    trust_log: bool,
    random_state,
) -> tuple[dict[Any, MeanReward], SetMeans]:
    """Return the mean reward of each set, and what their differences are computed from."""
    rng = check_random_state(random_state)
    rewards = read_rewards(model, X, y, columns, rng)
    weight = columns.weighted(np.ones(len(rewards.y)))
    groups = None if columns.groups is None else group_codes(columns.groups, len(weight))
    codes, n_sets = sets.codes, len(sets.names)
    if paired:
        weight = paired_weight(sets, columns.groups, weight)
        unpaired = (weight == 0) & (codes < n_sets)
        codes = np.where(unpaired, n_sets, codes)  # they still tell the level
        weight = np.where(unpaired, columns.weighted(np.ones(len(weight))), weight)
    sizes = np.bincount(codes, weight, minlength=n_sets + 1)
    if empty := [name for name, size in zip(sets.names, sizes[:-1], strict=True) if size == 0]:
        raise FeedbackError(f"sample_weight is 0 in all rows of {empty[0]!r}: leave the set out.")
    shares = shares_of(codes, n_sets + 1, weight)
    if sizes[-1] == 0:
        shares = shares[:, :-1]
    codes = np.where(weight > 0, codes, n_sets)  # for the counts
    raters = shares_of_raters(~np.isnan(rewards.y), shares, columns.users)
    means = means_of_sets(rewards.draws, shares, groups, columns.users).loosened(
        _SET_STD**2 * np.eye(shares.shape[1]) + _RATER_STD**2 * raters.T @ raters
    )
    verified = columns.verified
    if verified is not None:
        judged = judged_means(
            rewards.proxies, verified, inverse, shares, groups, columns.users, rng
        )
        if not trust_log and not (judged.places < n_sets).any():
            raise FeedbackError(
                f"None of the {np.count_nonzero(~np.isnan(verified))} verified rows is in "
                f"{'the set' if n_sets == 1 else 'any of the sets'}: have some of its answers "
                f"judged, or leave trust_log=True."
            )
        if trust_log:
            _warn_if_contradicted(means.agreement(*judged))
            means = means.updated(*judged)
        else:
            means = means.replaced(*judged)
    elif not trust_log:
        raise FeedbackError(
            "trust_log=False rests on verified rows, but none are given: pass verified=, or leave "
            "trust_log=True."
        )
    is_judged = np.zeros(len(codes), dtype=bool)
    if verified is not None:
        is_judged |= ~np.isnan(verified)
    borrows = trust_log and bool(is_judged.any())
    return _results(sets.names, codes, means, rewards.y, is_judged, borrows), means


def _warn_if_contradicted(agreement: float) -> None:
    if agreement < _CONTRADICTED:
        warn(
            f"The verified rows contradict what the log says of the sets (p = {agreement:.2g}), so "
            f"users may rate the systems by different rules: use trust_log=False.",
            AssumptionWarning,
            "log-contradicted",
        )


def _results(
    names: list[Any],
    codes: NDArray,
    means: SetMeans,
    y: NDArray,
    is_judged: NDArray[np.bool_],
    borrows: bool,
) -> dict[Any, MeanReward]:
    found = {}
    for k, name in enumerate(names):
        inside = codes == k
        rated, judged = inside & ~np.isnan(y), inside & is_judged
        source = "log" if rated.any() else "model"
        if judged.any():
            source = "prediction-powered"
        elif borrows:
            source = "borrowed"
        one = means.contrast(np.eye(len(means.draws))[k])
        found[name] = MeanReward(
            estimate=float(np.clip(one.score, 0, 1)),
            std=one.std,
            low=one.low,
            high=one.high,
            open_std=one.open_std,
            n=int(inside.sum()),
            n_rated=int(rated.sum()),
            n_verified=int(judged.sum()),
            liked=float(y[rated].mean()) if rated.any() else float("nan"),
            source=source,
        )
    return found
