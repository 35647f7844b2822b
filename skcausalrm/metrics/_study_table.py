"""A study's table: scores of several models on one log, and paired differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from numpy.typing import ArrayLike

from ..exceptions import InvalidInputError
from ._estimate import estimate, estimate_difference
from ._metric import check_metric

if TYPE_CHECKING:
    import pandas as pd


def compare_predictions(
    z,
    predictions: Mapping[str, ArrayLike],
    *,
    metrics: str | Sequence[str] = ("r2", "roc_auc"),
    baseline: str | None = None,
    groups=None,
    users=None,
    sample_weight=None,
) -> pd.DataFrame:
    """Score several models on one log, with paired differences and their intervals.

    Parameters
    ----------
    z : array-like of shape (n,) or (n, m)
        Pseudo-outcomes or draws of them that all models are scored on; or labels, 0 and 1.
    predictions : mapping of str to array-like of shape (n,)
        Predictions by the name of the model, none fitted on these rows; also a DataFrame.
    metrics : str or list of str, default=("r2", "roc_auc")
        Scores, as `make_debiased_scorer` names them. Losses are not negated.
    baseline : str or None, default=None
        Model from which differences are taken. None: the first.
    groups, users, sample_weight : array-like of shape (n,), default=None
        As in `debiased_mse`; "within_roc_auc" needs groups.

    Returns
    -------
    pandas.DataFrame
        Indexed by metric and model: ``score``, ``std``, the 90% interval ``low`` and ``high``, then
        ``difference`` from the baseline with ``difference_std``, ``difference_low`` and
        ``difference_high``, 0 in its own row. ``to_latex`` writes it for a paper.

    Raises
    ------
    InvalidInputError
        If there is no model or no such baseline, and as in `debiased_mse`.
    GroupsError, FeedbackError
        As in the scores.
    ValueError
        If a metric is unknown.

    Notes
    -----
    A difference is paired: row by row and draw by draw on the same z. What the models have in
    common, such as a level that the log leaves open, falls out of it, so its interval is narrower
    than those of the scores suggest.

    Examples
    --------
    >>> import numpy as np
    >>> from skcausalrm.metrics import compare_predictions
    >>> rng = np.random.default_rng(0)
    >>> p = rng.random(2000)
    >>> label = (rng.random(2000) < p).astype(float)
    >>> table = compare_predictions(label, {"flat": 0.5 + 0 * p, "right": p}, metrics="brier")
    >>> table["difference_high"].round(3).to_dict()
    {('brier', 'flat'): 0.0, ('brier', 'right'): -0.08}
    >>> latex = table.to_latex(float_format="%.3f")                    # doctest: +SKIP
    """
    import pandas as pd

    names = [metrics] if isinstance(metrics, str) else list(metrics)
    for name in names:
        check_metric(name)
    models = list(predictions)
    if not models or not names:
        raise InvalidInputError("There is nothing to compare: name a prediction and a metric.")
    first = models[0] if baseline is None else baseline
    if first not in models:
        raise InvalidInputError(
            f"baseline is {first!r}, but the predictions are {', '.join(map(repr, models))}: "
            f"choose one."
        )
    columns = {"groups": groups, "users": users, "sample_weight": sample_weight}
    rows = {}
    for name in names:
        for model in models:
            one = estimate(name, z, predictions[model], **columns)
            row = {"score": one.score, "std": one.std, "low": one.low, "high": one.high}
            gap: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
            if model != first:
                gap = estimate_difference(
                    name, z, predictions[model], predictions[first], **columns
                )[:4]
            parts = ("difference", "difference_std", "difference_low", "difference_high")
            rows[name, model] = {**row, **dict(zip(parts, map(float, gap), strict=True))}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["metric", "model"])
