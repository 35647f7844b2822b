"""Several logs as one: rows that two of them hold are kept once."""

from collections.abc import Sequence
from operator import gt
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import infer_dtype

from ._columns import SIGNALS
from ._conversations import group_by_opening
from ._labels import answer_keys


def merge_logs(
    frames: Sequence[pd.DataFrame], names: Sequence[str]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the rows of several logs, without those that an earlier log holds already.

    Two rows of different logs are the same row if their texts are equal and their ids are too.
    If one of them has no id, their users must be equal instead, if both logs have users. If a
    log holds equal rows, the first of them matches the first of the other log, and so on, rated
    rows before unrated ones.

    The later of two dated ratings is kept. Otherwise the row of the earlier log is kept, unless
    only the other one is rated. Empty fields of the kept row are filled from the other.

    Parameters
    ----------
    frames : sequence of DataFrame
        Logs with the columns of `load_feedback`; ``group`` may be absent.
    names : sequence of str
        Name of each log.

    Returns
    -------
    frame : DataFrame
        Rows in the order of `frames`.
    counts : dict
        Empty for a single log. ``n_duplicates`` and ``n_conflicts`` count the dropped rows, and
        those whose feedback or verified label contradicts the kept row; ``duplicates`` counts
        the dropped rows of each log by its name.
    """
    if len(frames) == 1:
        return frames[0], {}
    frames = [_without_numbered_groups(frame) for frame in frames]
    merged = frames[0]
    counts: dict[str, Any] = {"n_duplicates": 0, "n_conflicts": 0, "duplicates": {}}
    for name, frame in zip(names[1:], frames[1:], strict=True):
        match = _match(merged, frame)
        merged, n_conflicts = _union(merged, frame, match)
        if n_dropped := int((match >= 0).sum()):
            counts["n_duplicates"] += n_dropped
            counts["n_conflicts"] += n_conflicts
            counts["duplicates"][name] = n_dropped + counts["duplicates"].get(name, 0)
    if "group" in merged.columns:
        if not all("group" in frame.columns for frame in frames):
            merged["group"] = group_by_opening(merged["prompt"], _column(merged, "group"))
        elif infer_dtype(merged["group"]).startswith("mixed"):
            texts = _column(merged, "group")  # 1 in one log is "1" in a CSV file
            merged["group"] = texts.where(texts != "", None)
    if "timestamp" in merged.columns and merged["timestamp"].isna().all():
        merged["timestamp"] = pd.Series(pd.NaT, index=merged.index).dt.tz_localize("UTC")
    return merged, counts


def _without_numbered_groups(frame: pd.DataFrame) -> pd.DataFrame:
    """Drop groups that are all missing, or only number this log's openings."""
    if "group" not in frame.columns:
        return frame
    numbers = pd.Series(group_by_opening(frame["prompt"])).astype(str)
    names = _column(frame, "group")
    return frame.drop(columns="group") if (names == "").all() or names.equals(numbers) else frame


def _match(old: pd.DataFrame, new: pd.DataFrame) -> NDArray[np.intp]:
    """Return the position in `old` of each row of `new`, -1 where it has none."""
    old_text, new_text = (pd.Series(answer_keys(frame)) for frame in (old, new))
    old_id, new_id = _column(old, "id"), _column(new, "id")
    old_user, new_user = old_text, new_text
    users = _column(old, "user"), _column(new, "user")
    if all((names != "").any() for names in users):
        old_user, new_user = old_text + users[0], new_text + users[1]
    old_has, new_has = (old_id != "").to_numpy(), (new_id != "").to_numpy()
    steps: tuple[tuple[pd.Series, NDArray, pd.Series, NDArray], ...] = (
        (old_text + old_id, old_has, new_text + new_id, new_has),
        (old_user, ~old_has, new_user, new_has),
        (old_user, np.ones(len(old), dtype=bool), new_user, ~new_has),
    )
    match = np.full(len(new), -1, dtype=np.intp)
    free = np.ones(len(old), dtype=bool)
    for old_key, old_may, new_key, new_may in steps:
        old_rows = np.flatnonzero(old_may & free)
        new_rows = np.flatnonzero(new_may & (match < 0))
        keys = _numbered(old_key, old, old_rows)
        found = keys.get_indexer(_numbered(new_key, new, new_rows))
        match[new_rows[found >= 0]] = old_rows[found[found >= 0]]
        free[match[match >= 0]] = False
    return match


def _numbered(key: pd.Series, frame: pd.DataFrame, rows: NDArray[np.intp]) -> pd.MultiIndex:
    """Return the keys of the rows, each with its count among equal keys, rated rows first."""
    chosen = pd.DataFrame({"key": key.iloc[rows].to_numpy()})
    unrated = frame["feedback"].isna().to_numpy()[rows]
    chosen["count"] = chosen.iloc[np.argsort(unrated, kind="stable")].groupby("key").cumcount()
    return pd.MultiIndex.from_frame(chosen)


def _column(frame: pd.DataFrame, name: str) -> pd.Series:
    """Return a column as texts, empty where it has no value."""
    if name not in frame.columns:
        return pd.Series("", index=range(len(frame)))
    values = frame[name].reset_index(drop=True)
    if values.dtype.kind == "f":  # whole numbers that a missing value turned into floats
        whole = values.dropna()
        if (whole == np.round(whole)).all():
            values = values.astype("Int64")
    return values.astype(object).astype(str).where(values.notna(), "")


def _union(
    old: pd.DataFrame, new: pd.DataFrame, match: NDArray[np.intp]
) -> tuple[pd.DataFrame, int]:
    """Return the rows of `old`, then those of `new` that match none; and the contradictions."""
    # A column without values has an arbitrary type, which must not decide that of the result.
    parts = [frame.drop(columns=_empty_columns(frame)) for frame in (old, new)]
    both = pd.concat(parts, ignore_index=True)
    both = both.reindex(columns=list(dict.fromkeys([*old.columns, *new.columns])))
    pairs = np.flatnonzero(match >= 0)
    first, second = match[pairs], len(old) + pairs
    later = _is_better(both.iloc[second], both.iloc[first])
    added = len(old) + np.flatnonzero(match < 0)
    kept = np.concatenate([np.arange(len(old)), added])
    other = kept.copy()
    kept[first], other[first] = np.where(later, second, first), np.where(later, first, second)

    frame = both.iloc[kept].reset_index(drop=True)
    conflicts = np.zeros(len(frame), dtype=bool)
    for name in frame.columns.difference(["prompt", "completion"]):
        spare = both[name].iloc[other].reset_index(drop=True)
        if name in ("feedback", "verified"):
            conflicts |= (frame[name].notna() & spare.notna() & (frame[name] != spare)).to_numpy()
        if name == "asked":
            frame[name] = (frame[name] == True) | (spare == True)  # noqa: E712
        elif name in SIGNALS and frame[name].dtype == np.float64:  # what one export saw happened
            frame[name] = frame[name].combine(spare, np.fmax)
        elif name != "comment" and frame[name].isna().any():  # a comment explains its own rating
            frame[name] = frame[name].where(frame[name].notna(), spare)
    return frame, int(conflicts.sum())


def _is_better(new: pd.DataFrame, old: pd.DataFrame) -> NDArray[np.bool_]:
    """Return True where the row of the later log replaces the equal row of the earlier one."""
    old_rated, new_rated = (frame["feedback"].notna().to_numpy() for frame in (old, new))
    better = new_rated & ~old_rated
    if "timestamp" in new.columns:
        dates = (frame["timestamp"].reset_index(drop=True) for frame in (new, old))
        better |= new_rated & old_rated & gt(*dates).to_numpy()
    return better


def _empty_columns(frame: pd.DataFrame) -> list[str]:
    return [name for name in frame.columns if name != "feedback" and frame[name].isna().all()]
