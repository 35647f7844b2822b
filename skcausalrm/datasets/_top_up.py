"""Twenty more answers to judge: when they are due, from which strata, and what each counts.

A label counts the less the older it is. Once fewer than thirty would have to do, twenty more are
drawn: half of them unrated, the others liked and disliked. Each stratum's probability is kept with
its labels, because the rated are drawn more often than they occur.
"""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

# Days after which a label counts half; labels that should count; labels of a top-up.
HALF_LIFE, ENOUGH, BATCH = 90, 30, 20
STRATA = {"unrated": 0.5, "liked": 0.25, "disliked": 0.25}
# Days within which a top-up that was begun goes on.
_GOES_ON = 30


class Freshness(NamedTuple):
    """What labels are worth now.

    Attributes
    ----------
    n : int
        Labels.
    fresh : float
        Labels of today that they are worth.
    due : datetime
        When more are due, which may have passed.
    """

    n: int
    fresh: float
    due: datetime


def freshness(labels: pd.DataFrame, now: datetime) -> Freshness:
    """Return what labels, as `read_labels` returns them, are worth at a time.

    A label without a time counts as one of `HALF_LIFE` days ago.
    """
    times = pd.to_datetime(
        labels.loc[labels["verified"].notna(), "time"], errors="coerce", utc=True
    )
    age = (pd.Timestamp(now) - times).dt.total_seconds() / 86_400
    fresh = float((0.5 ** (age.fillna(HALF_LIFE).clip(lower=0) / HALF_LIFE)).sum())
    days = HALF_LIFE * math.log2(max(fresh, 1e-6) / ENOUGH)
    return Freshness(len(times), fresh, now + timedelta(days=max(days, -36_500)))


class TopUp(NamedTuple):
    """Answers to judge next.

    Attributes
    ----------
    batch : str
        Name of the batch, its first day.
    order : ndarray of int
        Rows in the order of judging, more than are wanted: some will be skipped.
    facts : dict of int to dict
        What to keep with the label of each row: batch, stratum, probability.
    wanted : int
        Answers to judge.
    """

    batch: str
    order: NDArray[np.intp]
    facts: dict[int, dict[str, Any]]
    wanted: int


def open_batch(labels: pd.DataFrame, now: datetime, n: int) -> tuple[str, dict[str, int]]:
    """Return the name of the batch to go on with, or of a new one, and its labels by stratum."""
    kept = [fact for fact in labels.loc[labels["verified"].notna(), "top_up"] if fact]
    batches = [str(fact["batch"]) for fact in kept]
    first = (now - timedelta(days=_GOES_ON)).date().isoformat()
    if batches and (last := max(batches)) >= first and batches.count(last) < n:
        names = [fact["stratum"] for fact in kept if str(fact["batch"]) == last]
        return last, {name: names.count(name) for name in STRATA}
    return now.date().isoformat(), dict.fromkeys(STRATA, 0)


def draw_top_up(
    frame: pd.DataFrame, order: Sequence[int], labels: pd.DataFrame, n: int, now: datetime
) -> TopUp:
    """Return answers of the last `HALF_LIFE` days of a log, from each stratum.

    Parameters
    ----------
    frame : DataFrame
        As `load_feedback` returns it.
    order : sequence of int
        Answers that nobody has judged, in random order, from `draw_answers`.
    labels : DataFrame
        As `read_labels` returns it.
    n : int
        Answers of the batch.
    now : datetime
    """
    batch, done = open_batch(labels, now, n)
    open_rows = np.array(order, dtype=np.intp)
    if "timestamp" in frame.columns and frame["timestamp"].notna().any():
        times = frame["timestamp"]
        recent = (times >= times.max() - pd.Timedelta(days=HALF_LIFE)).to_numpy()
        open_rows = open_rows[recent[open_rows]]
    feedback = frame["feedback"].to_numpy(dtype=float)[open_rows]
    rows = {
        "unrated": open_rows[np.isnan(feedback)],
        "liked": open_rows[feedback > 0.5],
        "disliked": open_rows[feedback <= 0.5],
    }
    quotas = _quotas({name: len(found) + done[name] for name, found in rows.items()}, n)
    facts: dict[int, dict[str, Any]] = {}
    turns: list[tuple[float, int]] = []
    for name, found in rows.items():
        left = quotas[name] - done[name]
        if left <= 0:
            continue
        # an answer that cannot be judged makes way for the next of its stratum
        fact = {"batch": batch, "stratum": name}
        probability = round(quotas[name] / (len(found) + done[name]), 9)
        facts |= {int(row): {**fact, "probability": probability} for row in found}
        turns += [(place / left, int(row)) for place, row in enumerate(found)]
    wanted = sum(max(0, quotas[name] - done[name]) for name in STRATA)
    return TopUp(batch, np.array([row for _, row in sorted(turns)], dtype=np.intp), facts, wanted)


def _quotas(available: dict[str, int], n: int) -> dict[str, int]:
    """Return how many answers each stratum gives; what one lacks the others give."""
    quotas = dict.fromkeys(STRATA, 0)
    while (left := n - sum(quotas.values())) > 0:
        open_ones = {
            name: share for name, share in STRATA.items() if quotas[name] < available[name]
        }
        if not open_ones:
            break
        for name, share in open_ones.items():
            more = max(1, round(left * share / sum(open_ones.values())))
            room = min(available[name] - quotas[name], n - sum(quotas.values()))
            quotas[name] += min(more, room)
    return quotas


def label_weights(labels: pd.DataFrame) -> pd.Series:
    """Return what each label counts: one over its probability, with a mean of 1 in its batch.

    Labels without a top-up were drawn alike. Batches count by their size, whatever the log's size
    was when they were drawn.
    """
    judged = labels[labels["verified"].notna()]
    facts = judged["top_up"].map(lambda fact: fact or {})
    inverse = facts.map(lambda fact: 1 / fact.get("probability", 1.0)).astype(float)
    batch = facts.map(lambda fact: str(fact.get("batch", "")))
    return inverse / inverse.groupby(batch).transform("mean")


def utc_now() -> datetime:
    """Return the time, for tests to replace."""
    return datetime.now(UTC)
