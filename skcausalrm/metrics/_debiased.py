"""Scores of predictions against pseudo-outcomes: unbiased for the scores on clean labels.

The pseudo-outcome z of a row has the mean E[r given x] for the unseen reward r in {0, 1}. Every
score here is linear in the labels, or a smooth function of means that are, so z can replace the
label (docs/concepts/scores.md). `_formulas` has the sums, `_estimate` the errors.
"""

from ._estimate import estimate


def _score(
    metric: str, z, prediction, groups, users, sample_weight, return_std: bool
) -> float | tuple[float, float]:
    clusters = {"groups": groups, "users": users, "sample_weight": sample_weight}
    found = estimate(metric, z, prediction, **clusters, with_error=return_std)
    return (found.score, found.std) if return_std else found.score


def debiased_mse(
    z, prediction, *, groups=None, users=None, sample_weight=None, return_std=False
) -> float | tuple[float, float]:
    """Mean squared error against the unseen reward, ``mean(f^2 - 2 f z + z)``.

    Parameters
    ----------
    z : array-like of shape (n,) or (n, m)
        Pseudo-outcomes, as `pseudo_outcomes` makes them; they may lie outside [0, 1]. Or m equally
        likely draws of them, ``pseudo_outcomes(..., n_draws=m)``: the score is the mean over the
        draws, and their spread is part of the standard error.
    prediction : array-like of shape (n,)
        Predicted P(r=1 given x), f; any finite number.
    groups : array-like of shape (n,), default=None
        Conversation or prompt ids: clusters of the standard error. None: rows are independent.
    users : array-like of shape (n,), default=None
        User ids: further clusters of the standard error; a missing id is a user of its own.
    sample_weight : array-like of shape (n,), default=None
        Rows of weight 0 do not count.
    return_std : bool, default=False
        Also return the standard error.

    Returns
    -------
    score : float
        Estimated mean squared error. It may be negative on few rows, because z may lie outside
        [0, 1].
    std : float
        Standard error, clustered by group and user; only with ``return_std=True``.

    Raises
    ------
    InvalidInputError
        If a value is not finite, or the lengths differ.
    GroupsError
        If a standard error is asked for and all rows are of one group.

    Notes
    -----
    ``E[(f - r)^2] = E[f^2 - 2 f r + r]`` for r in {0, 1}. This is linear in r, so z can replace it:
    unlike the mean of (f - z)^2, the result does not contain the noise of z. It is valid for binary
    rewards only, because a continuous reward needs a pseudo-outcome of r^2 as well. The standard
    error is clustered two ways, ``V_groups + V_users - V_both`` (Cameron, Gelbach and Miller,
    2011); if that is not positive, it is the larger of the first two. With one z per row it
    treats the nuisances behind z as fixed; with draws the variance between the draws' scores is
    added.

    Examples
    --------
    >>> from skcausalrm.metrics import debiased_mse
    >>> round(debiased_mse([0, 1, 1, 0], [0.2, 0.6, 0.9, 0.1]), 3)  # z are labels
    0.055
    >>> round(debiased_mse([-0.1, 1.2, 1.1, 0.0], [0.2, 0.6, 0.9, 0.1]), 3)
    0.01
    """
    return _score("mse", z, prediction, groups, users, sample_weight, return_std)


def debiased_accuracy_score(
    z, prediction, *, groups=None, users=None, sample_weight=None, return_std=False
) -> float | tuple[float, float]:
    """Accuracy of the predicted class against the unseen reward, ``mean(z c + (1 - z)(1 - c))``.

    Parameters
    ----------
    z : array-like of shape (n,) or (n, m)
        Pseudo-outcomes or draws of them, as in `debiased_mse`; they may lie outside [0, 1].
    prediction : array-like of shape (n,)
        Predicted P(r=1 given x), or classes 0 and 1; the predicted class c is 1 above one half.
    groups, users, sample_weight : array-like of shape (n,), default=None
        As in `debiased_mse`.
    return_std : bool, default=False
        Also return the standard error.

    Returns
    -------
    score : float
        Estimated share of rows whose class is predicted right.
    std : float
        Standard error; only with ``return_std=True``.

    Raises
    ------
    InvalidInputError, GroupsError
        As in `debiased_mse`, and if a prediction lies outside [0, 1].

    Examples
    --------
    >>> from skcausalrm.metrics import debiased_accuracy_score
    >>> debiased_accuracy_score([0, 1, 1, 0], [0.2, 0.6, 0.9, 0.7])
    0.75
    """
    return _score("accuracy", z, prediction, groups, users, sample_weight, return_std)


def debiased_brier_score(
    z, prediction, *, groups=None, users=None, sample_weight=None, return_std=False
) -> float | tuple[float, float]:
    """Brier score against the unseen reward: `debiased_mse` of predicted probabilities.

    Parameters
    ----------
    z : array-like of shape (n,) or (n, m)
        Pseudo-outcomes or draws of them, as in `debiased_mse`; they may lie outside [0, 1].
    prediction : array-like of shape (n,)
        Predicted P(r=1 given x), in [0, 1].
    groups, users, sample_weight : array-like of shape (n,), default=None
        As in `debiased_mse`.
    return_std : bool, default=False
        Also return the standard error.

    Returns
    -------
    score : float
        Estimated Brier score.
    std : float
        Standard error; only with ``return_std=True``.

    Raises
    ------
    InvalidInputError, GroupsError
        As in `debiased_mse`, and if a prediction lies outside [0, 1].

    Examples
    --------
    >>> from skcausalrm.metrics import debiased_brier_score
    >>> round(debiased_brier_score([0, 1, 1, 0], [0.2, 0.6, 0.9, 0.1]), 3)
    0.055
    """
    return _score("brier", z, prediction, groups, users, sample_weight, return_std)


def debiased_log_loss(
    z, prediction, *, groups=None, users=None, sample_weight=None, return_std=False
) -> float | tuple[float, float]:
    """Log loss against the unseen reward, ``-mean(z log f + (1 - z) log(1 - f))``.

    Parameters
    ----------
    z : array-like of shape (n,) or (n, m)
        Pseudo-outcomes or draws of them, as in `debiased_mse`; they may lie outside [0, 1].
    prediction : array-like of shape (n,)
        Predicted P(r=1 given x), f, in [0, 1]. As in scikit-learn, f is clipped to at least the
        machine epsilon of its dtype from 0 and 1, so a wrong prediction of 0 or 1 costs about 36
        (float64) or 16 (float32). At z > 1 a prediction of 1 gains as much per unit: prefer
        calibrated f.
    groups, users, sample_weight : array-like of shape (n,), default=None
        As in `debiased_mse`.
    return_std : bool, default=False
        Also return the standard error.

    Returns
    -------
    score : float
        Estimated log loss.
    std : float
        Standard error; only with ``return_std=True``.

    Raises
    ------
    InvalidInputError, GroupsError
        As in `debiased_mse`, and if a prediction lies outside [0, 1].

    Examples
    --------
    >>> from skcausalrm.metrics import debiased_log_loss
    >>> round(debiased_log_loss([0, 1, 1, 0], [0.2, 0.6, 0.9, 0.1]), 4)
    0.2362
    """
    return _score("log_loss", z, prediction, groups, users, sample_weight, return_std)


def debiased_r2_score(
    z, prediction, *, groups=None, users=None, sample_weight=None, return_std=False
) -> float | tuple[float, float]:
    """Share of the unseen reward's variance that is explained, ``1 - mse / (mu (1 - mu))``.

    Parameters
    ----------
    z : array-like of shape (n,) or (n, m)
        Pseudo-outcomes or draws of them, as in `debiased_mse`; they may lie outside [0, 1]. ``mu``
        is their mean.
    prediction : array-like of shape (n,)
        Predicted P(r=1 given x); any finite number.
    groups, users, sample_weight : array-like of shape (n,), default=None
        As in `debiased_mse`.
    return_std : bool, default=False
        Also return the standard error.

    Returns
    -------
    score : float
        1 is perfect, 0 is as good as predicting mu everywhere.
    std : float
        Standard error, by the delta method on mse and mu; only with ``return_std=True``.

    Raises
    ------
    FeedbackError
        If mu lies outside (.01, .99), where there is almost no variance to explain.
    InvalidInputError, GroupsError
        As in `debiased_mse`.

    Notes
    -----
    ``mu (1 - mu)`` is the variance of a binary reward; the variance of z would contain the noise of
    z as well.

    Examples
    --------
    >>> from skcausalrm.metrics import debiased_r2_score
    >>> round(debiased_r2_score([0, 1, 1, 0], [0.2, 0.6, 0.9, 0.1]), 3)
    0.78
    >>> score, std = debiased_r2_score([0, 1, 1, 0], [0.2, 0.6, 0.9, 0.1], return_std=True)
    >>> round(std, 3)
    0.143
    """
    return _score("r2", z, prediction, groups, users, sample_weight, return_std)


def debiased_roc_auc_score(
    z, prediction, *, groups=None, users=None, sample_weight=None, return_std=False
) -> float | tuple[float, float]:
    """Probability that a good row is ranked above a bad one, by weighted pairs.

    Parameters
    ----------
    z : array-like of shape (n,) or (n, m)
        Pseudo-outcomes or draws of them, as in `debiased_mse`; they may lie outside [0, 1].
    prediction : array-like of shape (n,)
        Any score that ranks; ties count one half.
    groups, users : array-like of shape (n,), default=None
        As in `debiased_mse`.
    sample_weight : array-like of shape (n,), default=None
        The weight of a pair is the product of its rows' weights.
    return_std : bool, default=False
        Also return the standard error.

    Returns
    -------
    score : float
        Estimated AUROC. On few rows it may lie outside [0, 1], because z may.
    std : float
        Standard error, by the Hajek projection; only with ``return_std=True``.

    Raises
    ------
    FeedbackError
        If by the sum of z no row is good, or none is bad.
    InvalidInputError, GroupsError
        As in `debiased_mse`.

    Notes
    -----
    The ratio of two sums over ordered pairs i != j, ::

        sum z_i (1 - z_j) (1[f_i > f_j] + 1/2 1[f_i = f_j])  /  sum z_i (1 - z_j)

    A row is not paired with itself: r (1 - r) is 0, but z (1 - z) is not, even on average. So
    unless z is 0 or 1, doubling a weight is not exactly the same as repeating a row. One sort and
    cumulative sums compute both sums in O(n log n).

    Examples
    --------
    >>> from skcausalrm.metrics import debiased_roc_auc_score
    >>> debiased_roc_auc_score([0, 1, 1, 0], [0.2, 0.6, 0.9, 0.6])
    0.875
    """
    return _score("roc_auc", z, prediction, groups, users, sample_weight, return_std)


def debiased_within_roc_auc_score(
    z, prediction, *, groups, users=None, sample_weight=None, return_std=False
) -> float | tuple[float, float]:
    """Probability that a good answer is ranked above a bad one to the same prompt.

    Best of n picks among answers to one prompt, so this is the AUROC that it needs: an AUROC over
    all rows also rewards telling easy prompts from hard ones.

    Parameters
    ----------
    z : array-like of shape (n,) or (n, m)
        Pseudo-outcomes or draws of them, as in `debiased_mse`; they may lie outside [0, 1].
    prediction : array-like of shape (n,)
        Any score that ranks; ties count one half.
    groups : array-like of shape (n,)
        Prompt of each answer: pairs are of one prompt. Also the clusters of the standard error.
    users, sample_weight : array-like of shape (n,), default=None
        As in `debiased_roc_auc_score`.
    return_std : bool, default=False
        Also return the standard error.

    Returns
    -------
    score : float
        Estimated AUROC within prompts. On few rows it may lie outside [0, 1], because z may.
    std : float
        Standard error, by the Hajek projection; only with ``return_std=True``.

    Raises
    ------
    GroupsError
        If groups are None, or as in `debiased_mse`.
    FeedbackError
        If by the sum of z no prompt has a good and a bad answer.
    InvalidInputError
        As in `debiased_mse`.

    See Also
    --------
    rankable_pairs : How many prompts and pairs that rests on.
    best_of_n : Quality of the picks, where answers have a known quality.

    Notes
    -----
    The sums of `debiased_roc_auc_score`, over pairs of rows that share a group. Prompts count by
    their pairs of a good and a bad answer, so those with one answer, or with answers of one class,
    do not count: which ones they are nobody can see in a log, and a mean of the prompts' own
    AUROCs is not linear in z.

    Examples
    --------
    >>> from skcausalrm.metrics import debiased_within_roc_auc_score
    >>> f = [0.9, 0.8, 0.2, 0.1]  # ranks right within both prompts, and wrong between them
    >>> debiased_within_roc_auc_score([1, 0, 1, 0], f, groups=["a", "a", "b", "b"])
    1.0
    """
    return _score("within_roc_auc", z, prediction, groups, users, sample_weight, return_std)
