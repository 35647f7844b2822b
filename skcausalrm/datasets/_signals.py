"""Further signals of a log: what users did with an answer besides rating it."""

import numpy as np
import pandas as pd

from .._utils._signal_names import DIRECTIONS, LEAST_ROWS
from ._columns import SIGNALS
from ._next_message import read_reactions

# Standard errors of the log odds ratio with the ratings beyond which a signal goes against them.
_CONTRARY = 2.0
# Share of the rows with a signal that are rated, and of these the share with one and the same
# rating, from which on the rating counts as made of the signal. Below 1, so that a rating that was
# lost or overruled, one in 32 copied rows, does not hide it; users who rate by themselves rate a
# far smaller share of what they copy.
_MADE_OF_IT = 0.95


def complete_signals(log: pd.DataFrame) -> pd.DataFrame:
    """Return a log with signals as 1.0, 0.0 and NaN, and with those that its next messages give.

    ``thanked`` and ``complained`` are 1 or 0 where the row has a next message or stands in a
    conversation, in which the log would show one, and NaN elsewhere. Columns of the source are
    kept.
    """
    flags = {
        name: log[name].astype(np.float64)
        for name in SIGNALS
        if name in log.columns and log[name].dtype == bool
    }
    log = log.assign(**flags)
    told = {"thanked", "complained"} - set(log.columns)
    if not told or "next_message" not in log.columns or log["next_message"].isna().all():
        return log
    found = dict(
        zip(
            ("thanked", "complained"),
            read_reactions(log["next_message"], log["completion"]),
            strict=True,
        )
    )
    if {"conversation", "turn"} <= set(log.columns):
        known = log[["conversation", "turn"]].notna().all(axis=1)
        last = (known & log["next_message"].isna()).to_numpy()
        found = {name: np.where(last, 0.0, values) for name, values in found.items()}
    return log.assign(**{name: values for name, values in found.items() if name in told})


def find_signals(log: pd.DataFrame) -> pd.DataFrame:
    """Return the signals of a log that are safe to use, for the argument `signals` of `fit`.

    They are the columns ``copied``, ``shared`` and ``thanked``, which speak for an answer, and
    ``regenerated``, ``rephrased``, ``edited``, ``complained`` and ``abandoned``, which speak
    against it. One is left out if it happened in fewer than 10 rows, or did not in fewer than 10;
    if at least 95% of the rows in which it happened are rated, and at least 95% of these alike, so
    that the rating was made of it; or if it goes against the ratings (its log odds ratio on rated
    rows, by two standard errors).

    Parameters
    ----------
    log : DataFrame
        As `load_feedback` returns it.

    Returns
    -------
    DataFrame
        1.0 where it happened, 0.0 where not, NaN where it could not be seen. No column if there is
        no signal.

    See Also
    --------
    load_feedback : Reads a log.

    Examples
    --------
    >>> from skcausalrm.datasets import find_signals, make_feedback_logs
    >>> log = make_feedback_logs(400, signals=("copied", "regenerated"), random_state=0).frame
    >>> list(find_signals(log).columns)
    ['copied', 'regenerated']
    """
    kept = [name for name, reason in judge_signals(log).items() if not reason]
    return log[kept].astype(np.float64)


def judge_signals(log: pd.DataFrame) -> dict[str, str]:
    """Return for each signal of a log why it is left out, or an empty text if it is safe."""
    return {
        name: _objection(log[name].astype(np.float64), log["feedback"], DIRECTIONS[name])
        for name in SIGNALS
        if name in log.columns and _is_signal(log[name])
    }


def _is_signal(values: pd.Series) -> bool:
    numeric = pd.api.types.is_numeric_dtype(values.dtype)
    return bool(numeric and values.dropna().isin((0, 1)).all() and values.notna().any())


def _objection(signal: pd.Series, feedback: pd.Series, direction: float) -> str:
    happened, seen = int(signal.sum()), int(signal.notna().sum())
    if min(happened, seen - happened) < LEAST_ROWS:
        return "too rare" if 2 * happened < seen else "nearly always so"
    ratings = feedback[signal == 1].dropna()
    if min(len(ratings) / happened, max(ratings.mean(), 1 - ratings.mean())) >= _MADE_OF_IT:
        return "the rating is made of it"
    table = np.array(
        [[((signal == s) & (feedback == y)).sum() + 0.5 for y in (0, 1)] for s in (0, 1)]
    )
    log_odds_ratio = np.log(table[1, 1] * table[0, 0] / (table[1, 0] * table[0, 1]))
    if direction * log_odds_ratio < -_CONTRARY * np.sqrt((1 / table).sum()):
        return f"likelier on {'disliked' if direction > 0 else 'liked'} answers"
    return ""
