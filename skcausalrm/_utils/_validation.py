"""Input checks of all estimators: feedback with NaN, weights, per-row columns."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_array, column_or_1d
from sklearn.utils.validation import check_is_fitted, validate_data

from ..exceptions import FeedbackError, FewFeedbackWarning, InvalidInputError
from ._sklearn_compat import check_sample_weight
from ._warnings import warn

# Embeddings keep their precision; float16 and whole numbers become float32.
FLOATS = (np.float32, np.float64)
# Least and largest magnitude of X: squares of it, summed over 1e8 rows, stay within the dtype.
_MAGNITUDES = {4: (1e-15, 1e15), 8: (1e-150, 1e150)}
# Least and largest positive weight, and smallest known propensity: a row that stands for more rows
# than there are, or for none, drowns the others or is lost in rounding.
_LEAST_WEIGHT, _LARGEST_WEIGHT = 1e-12, 1e12
# Number of rated rows of a class below which a reward is little more than a guess.
FEW_OF_A_CLASS = 50

# scikit-learn's checks search for this sentence.
ONLY_BINARY = "Only binary classification is supported."


class Feedback(NamedTuple):
    """Feedback of n rows: values (NaN for none), which are observed, and if they are binary."""

    values: NDArray[np.float64]
    observed: NDArray[np.bool_]
    binary: bool


def check_embeddings(X, estimator=None, y="no_validation", **settings):
    """Return X as float32 or float64, shape (n, d), of finite numbers that can be squared.

    Parameters
    ----------
    X : array-like of shape (n, d)
    estimator : estimator, default=None
        Whose columns X must have, or which learns its columns from X.
    y : array-like of shape (n,), default="no_validation"
        A target, to be checked and returned next to X.
    **settings : dict
        Those of scikit-learn's `check_array`, and of `validate_data` with an estimator.

    Raises
    ------
    InvalidInputError
        If X is complex, not finite, or of a magnitude whose squares are not.
    ValueError
        As in scikit-learn.
    """
    dtype = getattr(X, "dtype", None)
    kind = getattr(dtype, "kind", "")
    if kind == "c":
        raise InvalidInputError(
            f"Complex data not supported: X has the dtype {dtype}, pass real embeddings."
        )
    is_wide = kind == "f" and dtype.itemsize > 4  # type: ignore[union-attr]
    settings |= {"dtype": np.float64 if is_wide else FLOATS, "ensure_all_finite": False}
    if estimator is None:
        found = check_array(X, input_name="X", **settings)
    else:
        found = validate_data(estimator, X, y, **settings)
    _check_magnitude(found[0] if isinstance(found, tuple) else found)
    return found


def _check_magnitude(X: NDArray) -> None:
    largest = max(X.max(), -X.min())  # NaN where there is one
    least, most = _MAGNITUDES[X.dtype.itemsize]
    if largest == 0 or least <= largest <= most:
        return
    if 0 < largest < least:
        raise InvalidInputError(
            f"No value of X is beyond {largest:.1e}, and in {X.dtype} squares of that vanish: "
            f"standardise the columns."
        )
    for name, bad, cure in (
        ("NaN", np.isnan(X), "leave such rows out or embed them again"),
        ("inf", np.isinf(X), "leave such rows out or embed them again"),
        (f"beyond {most:.0e}", np.abs(X) > most, f"{X.dtype} cannot square that; standardise X"),
    ):
        if bad.any():
            row, column = np.argwhere(bad)[0]
            raise InvalidInputError(
                f"X is {name} in {np.count_nonzero(bad.any(axis=1))} of {len(X)} rows, first in "
                f"row {row}, column {column}: {cure}."
            )


def check_new_rows(estimator, X) -> NDArray:
    """Return X of a prediction, checked against the columns that the estimator was fitted on."""
    check_is_fitted(estimator)
    return check_embeddings(X, estimator, reset=False)


def _check_length(values, name: str, n_rows: int) -> None:
    if len(values) != n_rows:
        raise FeedbackError(
            f"{name} has {len(values)} values for {n_rows} rows: pass one value per row."
        )


def _check_rated(observed: NDArray[np.bool_]) -> None:
    if not observed.any():
        raise FeedbackError(
            f"None of the {len(observed)} rows has feedback (y is NaN throughout): at least some "
            f"rows need a 0 or a 1."
        )


def is_missing(values: NDArray) -> NDArray[np.bool_]:
    """Return where an array holds NaN, None or pandas' NA and NaT."""
    if values.dtype.kind == "O":
        import pandas as pd  # its NA is neither equal nor unequal to itself

        return pd.isna(values)
    return values != values


def check_feedback(X, y) -> Feedback:
    """Check y against X: floats, NaN where unrated, at least one rated row.

    Raises
    ------
    FeedbackError
        If y holds inf, has another length than X, or is NaN in every row.
    """
    if y is None:
        raise ValueError("requires y to be passed, but the target y is None.")
    y = check_column(column_or_1d(y, warn=True), "y", X.shape[0], allow_nan=True)
    observed = ~np.isnan(y)
    _check_rated(observed)
    return Feedback(y, observed, bool(np.isin(y[observed], (0, 1)).all()))


def encode_labels(X, y, *, one_class: bool = False) -> tuple[NDArray, NDArray[np.float64]]:
    """Return the two classes and y as 0.0, 1.0 and NaN (no feedback: NaN or None).

    Parameters
    ----------
    X : array-like of shape (n, d)
    y : array-like of shape (n,)
    one_class : bool, default=False
        Accept feedback that is all 1 or all 0, such as clicks.

    Raises
    ------
    FeedbackError
        If there are not exactly two classes.
    """
    if y is None:
        raise ValueError("requires y to be passed, but the target y is None.")
    y = column_or_1d(np.asarray(y, dtype=object) if isinstance(y, list) else y, warn=True)
    _check_length(y, "y", X.shape[0])
    if y.dtype.kind == "f" and (infinite := int(np.isinf(y).sum())):
        raise FeedbackError(
            f"y is infinity in {infinite} of {len(y)} rows: use NaN where there is no feedback."
        )
    observed = ~is_missing(y)
    _check_rated(observed)
    if y.dtype.kind == "O":
        values = np.array(y[observed].tolist())  # numbers become numbers, strings strings
        full = np.empty(len(y), dtype=values.dtype)
        full[observed] = values
        y = full
    classes, codes = np.unique(y[observed], return_inverse=True)
    if len(classes) == 1 and one_class and classes[0] in (0, 1):
        return np.array([0, 1], dtype=classes.dtype), np.where(observed, float(classes[0]), np.nan)
    if len(classes) == 1:
        raise FeedbackError(
            f"All {observed.sum()} rated rows are of one class ({classes.tolist()[0]!r}): "
            f"two are needed to tell good from bad."
        )
    if len(classes) > 2:
        graded = y.dtype.kind == "f" and bool((classes != np.round(classes)).any())
        raise FeedbackError(
            f"{'Unknown label type: continuous.' if graded else ONLY_BINARY} The feedback must be "
            f"of two classes, such as 0 and 1, and NaN where there is none, but {len(classes)} "
            f"values were found in {len(y)} rows: binarise it."
        )
    values = np.full(len(y), np.nan)
    values[observed] = codes
    return classes, values


def decode_labels(y, classes: NDArray, *, n_rows: int | None = None) -> NDArray[np.float64]:
    """Return y as 0.0, 1.0 and NaN by the classes seen in `fit`.

    Raises
    ------
    FeedbackError
        If y holds another label, or has another length than `n_rows`.
    """
    y = column_or_1d(np.asarray(y, dtype=object) if isinstance(y, list) else y)
    _check_length(y, "y", len(y) if n_rows is None else n_rows)
    values = np.full(len(y), np.nan)
    observed = ~is_missing(y)
    for code, label in enumerate(classes):
        values[observed] = np.where(y[observed] == label, code, values[observed])
    if unknown := int(np.count_nonzero(np.isnan(values[observed]))):
        raise FeedbackError(
            f"{unknown} of {len(y)} rows have a label other than {classes.tolist()[0]!r} and "
            f"{classes.tolist()[1]!r}, which were fitted on: translate them."
        )
    return values


def check_two_classes(values: NDArray[np.float64], sample_weight=None) -> None:
    """Raise if the labels 0, 1 and NaN are of one class where the weight is positive."""
    labelled = ~np.isnan(values)
    if sample_weight is not None:
        labelled &= sample_weight > 0
    positives = int(np.count_nonzero(values[labelled] == 1))
    if positives in (0, int(labelled.sum())):
        raise FeedbackError(
            f"All {labelled.sum()} labelled rows of positive weight are of one class: two classes "
            f"are needed."
        )


def warn_of_rare_class(values: NDArray[np.float64]) -> None:
    """Warn if fewer than 50 rated rows are of a class."""
    counts = [int((values == label).sum()) for label in (0, 1)]
    if (least := min(counts)) < FEW_OF_A_CLASS:
        warn(
            f"Only {least} of {sum(counts)} rated rows are {counts.index(least)}: with fewer than "
            f"{FEW_OF_A_CLASS} rows of a class the reward is little more than a guess.",
            FewFeedbackWarning,
            "rare-class",
        )


def check_weights(sample_weight, X) -> NDArray[np.float64] | None:
    """Return float64 weights or None; all zero is an error."""
    if sample_weight is None:
        return None
    weight = check_sample_weight(
        sample_weight, X, dtype=np.float64, ensure_non_negative=True, copy=False
    )
    if not weight.any():
        raise ValueError(f"sample_weight is zero in all {len(weight)} rows: some must be positive.")
    outside = (weight > _LARGEST_WEIGHT) | ((weight < _LEAST_WEIGHT) & (weight > 0))
    if outside.any():
        raise InvalidInputError(
            f"sample_weight lies outside {_LEAST_WEIGHT:g} to {_LARGEST_WEIGHT:g} in "
            f"{outside.sum()} of {len(weight)} rows, first with {weight[outside][0]:g} in row "
            f"{np.flatnonzero(outside)[0]}: a weight counts as so many rows."
        )
    return weight


def check_column(values, name: str, n_rows: int, *, allow_nan: bool = False) -> NDArray:
    """Return a per-row column as float64 of shape (n_rows,).

    Raises
    ------
    FeedbackError
        If it holds what is no number, has no or another number of values, or has one that is
        infinite or, unless allowed, NaN.
    """
    values = column_or_1d(values)
    if not len(values):
        raise FeedbackError(f"{name} has no values: pass one value per row, for at least one row.")
    if values.dtype.kind == "O":
        values = np.where(is_missing(values), np.nan, values)
    try:
        values = check_array(
            values,
            ensure_2d=False,
            dtype=np.float64,
            ensure_all_finite=False,
            input_name=name,
        )
    except (ValueError, TypeError) as error:
        raise FeedbackError(
            f"{name} holds what is no number ({error}): pass numbers, such as 1 and 0."
        ) from error
    _check_length(values, name, n_rows)
    bad = np.isinf(values) if allow_nan else ~np.isfinite(values)
    if bad.any():
        raise FeedbackError(
            f"{name} is {'' if allow_nan else 'NaN or '}infinite in {bad.sum()} of {n_rows} rows: "
            f"pass a number in every row, "
            f"{'or NaN where there is none' if allow_nan else 'or leave the column out'}."
        )
    return values


def check_instruments(instruments, n_rows: int) -> NDArray[np.float64]:
    """Return instruments as float64 of shape (n_rows, m), NaN where unknown.

    Raises
    ------
    FeedbackError
        If they have another length, or an infinite value.
    """
    values = check_array(
        np.asarray(instruments).reshape(-1, 1) if np.ndim(instruments) == 1 else instruments,
        dtype=np.float64,
        ensure_all_finite="allow-nan",
        input_name="instruments",
    )
    _check_length(values, "instruments", n_rows)
    return values


def check_asked(asked, n_rows: int) -> NDArray[np.bool_] | None:
    """Return ``asked`` as bool, None if absent or nowhere True.

    Raises
    ------
    FeedbackError
        If it has another length, or holds other values than True and False.
    """
    if asked is None:
        return None
    asked = column_or_1d(asked)
    _check_length(asked, "asked", n_rows)
    if asked.dtype != bool and (wrong := int(np.count_nonzero(~np.isin(asked, (0, 1))))):
        raise FeedbackError(
            f"asked holds {wrong} values other than True and False: it must be True or False in "
            f"every row, False where nobody was asked."
        )
    asked = asked.astype(bool)
    return asked if asked.any() else None


def check_verified(verified, n_rows: int) -> NDArray[np.float64] | None:
    """Return ``verified`` as 0, 1 and NaN, None if absent or NaN throughout."""
    if verified is None:
        return None
    verified = check_column(verified, "verified", n_rows, allow_nan=True)
    judged = verified[~np.isnan(verified)]
    if wrong := int(np.count_nonzero(~np.isin(judged, (0, 1)))):
        raise FeedbackError(
            f"verified holds {wrong} values other than 0, 1 and NaN: a checked answer is good (1) "
            f"or not (0)."
        )
    return verified if len(judged) else None


def check_propensity(propensity, n_rows: int, name: str = "propensity") -> NDArray[np.float64]:
    """Return known propensities; they must lie in (0, 1] and are never clipped."""
    propensity = check_column(propensity, name, n_rows)
    if outside := int(np.count_nonzero((propensity <= 0) | (propensity > 1))):
        raise InvalidInputError(
            f"{name} lies outside (0, 1] in {outside} of {n_rows} rows: a known propensity is "
            f"a probability, and rows that can never get feedback must be left out."
        )
    if tiny := int(np.count_nonzero(propensity < _LEAST_WEIGHT)):
        raise InvalidInputError(
            f"{name} is under {_LEAST_WEIGHT:g} in {tiny} of {n_rows} rows, so that a rating "
            f"would stand for more rows than there are: leave such rows out."
        )
    return propensity
