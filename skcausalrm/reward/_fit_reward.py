"""From checked rows to a fitted reward, and its debiased score on a log."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import r2_score

from .._utils._clusters import group_codes, id_array
from .._utils._columns import RowColumns
from .._utils._validation import Feedback
from .._utils._warnings import warn
from ..exceptions import AssumptionWarning
from ..model_selection._cross_fitting import make_folds
from ..nuisances._recipes import Target
from ..selection._recalibration import Recalibration, fit_recalibration
from ._corrections import choose_method, dropped_columns
from ._fit_nuisances import Defaults, NuisanceFit, fit_nuisances
from ._head import fit_head, out_of_fold_predictions
from ._nuisances import FittedNuisances


def fit_reward(
    method: Any,
    estimator: Any,
    X: NDArray,
    feedback: Feedback,
    columns: RowColumns,
    defaults: Defaults,
    report: Callable[[str], None],
) -> tuple[NuisanceFit, Any, Recalibration | None]:
    """Fit nuisances, head and recalibration; return them.

    Parameters
    ----------
    method : str, Correction or SelectionModel
    estimator : regressor or None
        None is the default head of the method.
    X : ndarray of shape (n, d)
    feedback : Feedback
    columns : RowColumns
    defaults : Defaults
    report : callable
        Called with the name of each stage.
    """
    if method == "auto":
        method = choose_method(feedback, columns)
        columns = columns._replace(**dict.fromkeys(dropped_columns(method)))
    folds = make_folds(X, feedback.values, columns.groups, defaults.cv, defaults.random_state)
    report(f"nuisances, {len(X)} rows, {folds.n_splits} folds")
    fit = fit_nuisances(method, X, feedback, columns, folds, defaults)
    report("head")
    selection = fit.nuisances.selection_model
    if selection is not None and estimator is None:
        return fit, selection.head_, selection.recalibration_
    target = Target(fit.target.values, columns.weighted(fit.target.weight))
    head = fit_head(
        estimator, X, target, folds, defaults, moments=fit.moments, binary=feedback.binary
    )
    # The target of "selection" is recalibrated already.
    if columns.verified is None or selection is not None:
        return fit, head, None
    report("recalibration")
    held_out = out_of_fold_predictions(head, X, target, folds, n_jobs=defaults.n_jobs)
    recalibration = fit_recalibration(
        np.clip(held_out, 0, 1),
        columns.verified,
        feedback.values,
        sample_weight=columns.sample_weight,
        error_rate=getattr(method, "verified_error_rate", 0.0),
    )
    return fit, head, recalibration


def debiased_score(
    metric: Callable[..., Any],
    nuisances: FittedNuisances,
    X: NDArray,
    feedback: Feedback,
    columns: RowColumns,
    prediction: NDArray,
) -> float:
    """Return `metric` of predictions against pseudo-outcomes by these nuisances.

    For continuous feedback it is the R2 on the rated rows, weighted by 1/propensity.
    """
    if feedback.binary:
        z, weight = nuisances.target(X, feedback, columns)
        rows = weight > 0
        weight = columns.weighted(weight)[rows]
        return metric(z[rows], prediction[rows], sample_weight=weight)
    e = nuisances.propensity(X, feedback, columns)
    rated = feedback.observed
    weight = columns.weighted(np.ones(len(rated)) if e is None else 1 / e)[rated]
    return float(r2_score(feedback.values[rated], prediction[rated], sample_weight=weight))


def group_hashes(groups) -> NDArray[np.uint64]:
    """Return sorted 64-bit hashes of the distinct group ids; 1.0 and 1 hash alike."""
    import pandas as pd

    ids = pd.unique(pd.Series(id_array(groups)).dropna())
    whole = [isinstance(v, (float, np.floating)) and float(v).is_integer() for v in ids]
    names = [str(int(v) if as_int else v) for v, as_int in zip(ids, whole, strict=True)]
    return np.sort(pd.util.hash_array(np.array(names, dtype=object)))


def warn_of_shared_groups(groups: Any, trained_on: NDArray[np.uint64] | None, n_rows: int) -> None:
    """Warn if test groups were trained on, given the hashes of the training groups.

    Raises
    ------
    GroupsError
        If groups are not one id per row.
    """
    if groups is None:
        return
    group_codes(groups, n_rows)
    if trained_on is None:
        return
    tested = group_hashes(groups)
    if shared := int(np.isin(tested, trained_on).sum()):
        warn(
            f"{shared} of {len(tested)} groups were trained on too, so the score is optimistic: "
            f"split by group.",
            AssumptionWarning,
            "shared-groups",
        )
