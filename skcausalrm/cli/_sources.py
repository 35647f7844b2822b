"""Users, instruments and signals of a log: those that are named, and signals that are found."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Self

import numpy as np
import pandas as pd

from .._utils._signal_names import DIRECTIONS
from ..datasets._columns import can_parse
from ..datasets._signals import judge_signals
from ..datasets._values import parse_events
from ..exceptions import FeedbackError, UnusedParameterError

_SIGNS = {1.0: "positive", -1.0: "negative"}
# Columns with a use of their own: as a signal or an instrument they would count twice.
_TAKEN = ("feedback", "verified", "asked", "prompt", "completion")


@dataclass(frozen=True)
class Named:
    """What the options of a command name; None where they name nothing.

    Attributes
    ----------
    users : str or None
        A column; None is the column of users that `load_feedback` found.
    instruments : list of str or None
        Columns.
    signals : dict of str to str or None, "auto" or None
        Columns and their directions, None for the usual one; "auto" and None take those that are
        found and safe.
    """

    users: str | None = None
    instruments: list[str] | None = None
    signals: dict[str, str | None] | str | None = None

    def completed(self, other: Self) -> Self:
        """Return it with what `other` names where nothing is named."""
        own = {name: value for name, value in vars(self).items() if value is not None}
        return replace(other, **own)

    def present(self, frame: pd.DataFrame) -> tuple[Self, list[str]]:
        """Return what of it is in a log, and the names of what is not."""
        signals = self.signals if isinstance(self.signals, dict) else {}
        wanted = [*([self.users] if self.users else []), *(self.instruments or ()), *signals]
        missing = {name for name in wanted if find_column(frame, name) is None}
        kept = {name: sign for name, sign in signals.items() if name not in missing}
        return replace(
            self,
            users=None if self.users in missing else self.users,
            instruments=[name for name in self.instruments or () if name not in missing],
            signals=kept if isinstance(self.signals, dict) else self.signals,
        ), sorted(missing)


@dataclass(frozen=True)
class Sources:
    """What a log tells of its ratings besides themselves.

    Attributes
    ----------
    named : Named
    users : ndarray of shape (n,) or None
        None if the log has none, or one for all rows.
    columns : dict
        Arguments of `fit`: instruments, signals and signal_directions, where there are any.
    signals : dict of str to dict
        For each signal its "direction", in how many rows it "happened", in how many it could be
        "seen", and if it is not used the reason, "left_out".
    """

    named: Named = Named()
    users: np.ndarray | None = None
    columns: dict[str, Any] = field(default_factory=dict)
    signals: dict[str, dict[str, Any]] = field(default_factory=dict)

    def read_by(self, method: str) -> Named:
        """Return the columns that a method reads, those that were found named too."""
        users = None if self.users is None else self.named.users or "user"
        if method != "selection":
            return Named(users, signals={})
        signals = {
            name: facts["direction"]
            for name, facts in self.signals.items()
            if "left_out" not in facts
        }
        return Named(users, self.named.instruments, signals)

    def facts(self) -> dict[str, Any]:
        """Return the names of what is used, and the signals, as JSON can hold them."""
        return {"instruments": self.named.instruments or [], "signals": self.signals}


def read_sources(frame: pd.DataFrame, named: Named | None = None) -> Sources:
    """Return users, instruments and signals of a log.

    Parameters
    ----------
    frame : DataFrame
        As `load_feedback` returns it.
    named : Named or None, default=None

    Raises
    ------
    UnusedParameterError
        If the log has no column of a name, or one with another use.
    FeedbackError
        If an instrument is no number.
    """
    named = Named() if named is None else named
    users = frame.get("user") if named.users is None else _required(frame, named.users, "users")
    if users is not None and users.nunique(dropna=False) < 2:
        users = None  # unknown, or the account of an application: no users to tell apart
    columns: dict[str, Any] = {}
    if named.instruments:
        numbers = [
            _numbers(_required(frame, name, "instruments"), name) for name in named.instruments
        ]
        columns["instruments"] = np.column_stack(numbers)
    reasons, used = judge_signals(frame), {}
    if isinstance(named.signals, dict):
        reasons = {name: reason or "not named" for name, reason in reasons.items()}
        for name, sign in named.signals.items():
            values = _required(frame, name, "signals")
            role = str(values.name)
            if can_parse(partial(parse_events, values, name)):  # else `fit` says what is wrong
                values = parse_events(values, name)[0]
            used[role] = (values, sign)
    else:
        used = {name: (frame[name], None) for name, reason in reasons.items() if not reason}
    if used:
        columns["signals"] = pd.DataFrame({name: values for name, (values, _) in used.items()})
        columns["signal_directions"] = {name: sign for name, (_, sign) in used.items() if sign}
    facts = {name: _facts(values, sign or _usual(name)) for name, (values, sign) in used.items()}
    for name, reason in reasons.items():
        if name not in used:
            facts[name] = {**_facts(frame[name], _usual(name)), "left_out": reason}
    return Sources(named, None if users is None else users.to_numpy(), columns, facts)


def signal_lines(signals: Mapping[str, Mapping[str, Any]]) -> Iterable[tuple[str, str]]:
    """Yield a line for each signal of `Sources`."""
    for name, facts in signals.items():
        share = facts["happened"] / max(facts["seen"], 1)
        text = f"{share:.1%} of {facts['seen']:,} rows, {facts['direction'] or 'no direction'}"
        if "left_out" in facts:
            text += f"; not used: {facts['left_out']}"
        yield f"signal {name}", text


def _usual(name: str) -> str | None:
    return _SIGNS.get(DIRECTIONS.get(name, 0.0))


def _facts(values: pd.Series, direction: str | None) -> dict[str, Any]:
    numbers = pd.to_numeric(values, errors="coerce")
    return {
        "direction": direction,
        "happened": int((numbers == 1).sum()),
        "seen": int(numbers.notna().sum()),
    }


def find_column(frame: pd.DataFrame, name: str) -> pd.Series | None:
    """Return a column by the name that it has, or had in the log."""
    if name in frame.columns:
        return frame[name]
    read_as = frame.attrs["load_feedback"].get("columns", {})
    return next((frame[role] for role, own in read_as.items() if own == name), None)


def _required(frame: pd.DataFrame, name: str, option: str) -> pd.Series:
    values = find_column(frame, name)
    if values is None:
        raise UnusedParameterError(
            f"--{option} names {name}, but the log has the columns "
            f"{', '.join(map(str, frame.columns))}."
        )
    if values.name in _TAKEN:
        raise UnusedParameterError(
            f"--{option} names {name}, but the log's column {values.name} has another use: leave "
            f"it out of --{option}."
        )
    return values


def _numbers(values: pd.Series, name: str) -> np.ndarray:
    numbers = pd.to_numeric(values, errors="coerce")
    if (bad := numbers.isna() & values.notna()).any():
        raise FeedbackError(
            f"--instruments names {name}, which holds {values[bad].iloc[0]!r} or the like in "
            f"{int(bad.sum())} of {len(values)} rows and is no number: write one, such as 1 and 0 "
            f"for each of its values."
        )
    if numbers.isna().all():
        raise FeedbackError(f"--instruments names {name}, which is empty throughout: leave it out.")
    return numbers.to_numpy(dtype=np.float64, na_value=np.nan)
