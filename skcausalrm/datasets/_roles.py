"""Columns from the scores of an export, with one value per answer."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from ..exceptions import FeedbackError, FileFormatError
from ..text._messages import is_list
from ._columns import can_parse, signal_role
from ._left_out import LeftOut, add_summaries
from ._score_columns import is_comment, kind_by_name
from ._spans import HUMAN, MODEL, UNKNOWN, USER, Export, get
from ._texts import decode
from ._values import is_signed, parse_events, parse_flags, parse_labels, parse_unit_interval

_N_LISTED = 20  # maximum number of names in an error message
# Raters whose scores a column takes: the first of these with a score of the name.
_KINDS = {
    "verified": (HUMAN, USER, UNKNOWN),
    "feedback": (USER, UNKNOWN, HUMAN),
    "judge_score": (MODEL, UNKNOWN),
}


@dataclass(frozen=True)
class Names:
    """Names that the caller gives for columns or scores; None by default."""

    feedback: str | None = None
    verified: str | None = None
    asked: str | None = None
    judge_score: str | None = None
    prompt: str | None = None
    completion: str | None = None

    def given(self) -> dict[str, str]:
        return {column: name for column, name in vars(self).items() if name is not None}


def rename_columns(records: pd.DataFrame, names: Names) -> pd.DataFrame:
    """Rename the columns of a table as the caller's names require."""
    role_of: dict[str, str] = {}
    for column, name in names.given().items():
        if name not in records.columns:
            raise FileFormatError(
                f"{_parameter(column)}={name!r} is not among the columns "
                f"{_listed(records.columns)}."
            )
        if name in role_of:
            raise FileFormatError(_same_name(role_of[name], column, name, "column"))
        if column != name and column in records.columns:
            raise FileFormatError(
                f"{_parameter(column)}={name!r} was given, but there is also a column {column!r}: "
                "drop or rename it."
            )
        role_of[name] = column
    return records.rename(columns=role_of)


def _parameter(column: str) -> str:
    """Return the parameter of `load_feedback` that names a column."""
    return f"{column}_{'column' if column in ('prompt', 'completion') else 'name'}"


def assign_roles(
    scores: pd.DataFrame, names: Names, labels: Mapping[Any, float | None] | None = None
) -> dict[str, tuple[str, str]]:
    """Return the name and the kind of rater of the score for each column."""

    def by(kind: str) -> list[str]:
        return sorted(set(scores.loc[scores["kind"] == kind, "name"]))

    roles: dict[str, tuple[str, str]] = {}
    for column, kinds in _KINDS.items():
        name = getattr(names, column)
        if name is None:
            continue
        kind = next((kind for kind in kinds if name in by(kind)), None)
        if kind is None and column == "verified" and name in by(MODEL):
            raise FileFormatError(
                f"verified_name={name!r} is a score made by a model, and only a person's "
                f"judgement is verified: pass judge_score_name={name!r} instead."
            )
        if kind is None:
            raise FileFormatError(
                f"{column}_name={name!r} is not among the scores that it may name: those by "
                f"users are {by(USER)}, by annotators {by(HUMAN)}, by models {by(MODEL)}, by "
                f"unknown raters {by(UNKNOWN)}."
            )
        for other, role in roles.items():
            if role == (name, kind):
                raise FileFormatError(_same_name(other, column, name, "score"))
        roles[column] = (name, kind)

    def free(kind: str) -> list[str]:
        return [
            name for name in by(kind) if name != names.asked and (name, kind) not in roles.values()
        ]

    if "feedback" not in roles:
        of_users = _only_labels(scores, free(USER), USER, labels)
        unknown = _only_labels(scores, free(UNKNOWN), UNKNOWN, labels)
        if len(of_users) > 1 or (unknown and not of_users):
            raise FileFormatError(
                f"The scores are named {of_users + unknown}, and it is not clear which of them is "
                "the user's feedback: pass feedback_name."
            )
        if of_users:
            roles["feedback"] = (of_users[0], USER)
    if "judge_score" not in roles:
        fitting = [name for name in free(MODEL) if _is_share(scores, name)]
        if len(fitting) == 1:
            roles["judge_score"] = (fitting[0], MODEL)
    return roles


def _only_labels(
    scores: pd.DataFrame, names: list[str], kind: str, labels: Mapping[Any, float | None] | None
) -> list[str]:
    """Return the names whose values are labels, unlike comments and measures.

    A user's only score and texts under a user's name are kept, so that values that cannot be read
    are reported.
    """
    if kind == USER and len(names) == 1 and not is_comment(names[0]):
        return names

    def are_labels(name: str) -> bool:
        values = scores.loc[(scores["name"] == name) & (scores["kind"] == kind), "value"]
        try:
            return bool(parse_labels(values, name, labels)[0].notna().any())
        except FeedbackError:
            is_number = pd.to_numeric(values.map(str), errors="coerce").notna().all()
            return kind == UNKNOWN and not is_number and kind_by_name(name) == USER

    return [name for name in names if are_labels(name)]


def _is_share(scores: pd.DataFrame, name: str) -> bool:
    """Return True if a model's scores of this name are all in [0, 1]."""
    values = scores.loc[(scores["name"] == name) & (scores["kind"] == MODEL), "value"]
    numbers = pd.to_numeric(
        values.map(lambda value: value if np.isscalar(value) else None), "coerce"
    )
    return bool(numbers.between(0, 1).all())


def join(
    export: Export,
    names: Names,
    labels: Mapping[Any, float | None] | None,
    on_error: str = "omit",
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Left-join the scores in their roles to the answers.

    The last of several scores of one answer counts. For ``verified`` the majority of the last
    verdicts of each person counts. The second result counts the scores that were not used, and
    holds the summary of the answers that were left out.
    """
    if names.verified is None and export.verified not in (None, *names.given().values()):
        names = replace(names, verified=export.verified)
    frame = export.answers.set_index("id", drop=False)
    repeated = frame.index.duplicated(keep="last")
    frame = (frame[~repeated] if repeated.any() else frame).assign(feedback=np.nan)
    scores = export.scores.sort_values("timestamp", kind="stable", na_position="first")
    signals = _signals(scores, names, frame)
    frame = frame.assign(**{role: values for role, (_, values) in signals.items()})
    is_signal = pd.Series(False, index=scores.index)
    for of_role, _ in signals.values():
        is_signal |= of_role
    used = (scores["name"] == names.asked) | is_signal
    is_feedback = pd.Series(False, index=scores.index)
    left_out = LeftOut(frame["id"], on_error)
    counts: dict[str, Any] = {
        "n_repeated": int(repeated.sum()),
        "n_superseded": 0,
        "n_unreadable_scores": 0,
        **export.counts,
    }
    for column, (name, kind) in assign_roles(scores[~is_signal], names, labels).items():
        of_role = (scores["name"] == name) & (scores["kind"] == kind)
        used |= of_role
        by = ["id", "rater"] if column == "verified" else ["id"]
        last = scores[of_role].drop_duplicates(by, keep="last").set_index("id")
        counts["n_superseded"] += int(of_role.sum()) - len(last)
        where = f"{name} of the scores"
        if column == "judge_score":
            values, bad = parse_unit_interval(last["value"], where)
        else:
            values, bad = parse_labels(last["value"], where, labels)
            if is_signed([last["value"]], labels):
                zeros = int((values.isna() & last["value"].notna() & ~bad).sum())
                counts["n_zeros_unrated"] = counts.get("n_zeros_unrated", 0) + zeros
        if column == "verified":
            values, counts["n_outvoted"], counts["n_undecided"] = _vote(values)
        if column == "feedback":
            is_feedback = of_role
            left_out.drop(frame.index.isin(last.index[bad]), "unreadable feedback")
            for text in ("comment", "tags"):
                if text in last.columns and last[text].notna().any():
                    frame[text] = last[text].reindex(frame.index)
        else:
            counts["n_unreadable_scores"] += int(bad.sum())
        frame[column] = values.reindex(frame.index)
    if names.asked is not None:
        asked, counts["n_asked_by_answer"] = _asked(names.asked, export, scores[is_feedback])
        frame["asked"] = frame.index.isin(asked)
    counts["n_other_scores"] = int((~used).sum())
    counts["left_out"] = add_summaries(export.left_out, left_out.summary())
    return left_out.keep(frame), counts


def _signals(
    scores: pd.DataFrame, names: Names, frame: pd.DataFrame
) -> dict[str, tuple[pd.Series, pd.Series]]:
    """Return the rows of the scores that say what users did, and what they say of each answer.

    A name that the caller gives to another column is no signal.
    """
    free = scores["kind"].isin((USER, UNKNOWN)) & ~scores["name"].isin(names.given().values())
    roles = scores["name"].where(free).map(signal_role, na_action="ignore")
    found = {}
    for role in roles.dropna().unique():
        last = scores[roles == role].drop_duplicates("id", keep="last").set_index("id")["value"]
        values = last.reindex(frame.index)
        if role not in frame.columns and can_parse(partial(parse_events, values, role)):
            found[role] = (roles == role, parse_events(values, role)[0])
    return found


def _vote(verdicts: pd.Series) -> tuple[pd.Series, int, int]:
    """Return the majority per answer (NaN if tied), and how many were outvoted and tied."""
    share = verdicts.dropna().groupby(level=0).mean()
    undecided = share == 0.5
    outvoted = (share > 0) & (share < 1) & ~undecided
    decided = (share > 0.5).astype(np.float64).mask(undecided)
    return decided, int(outvoted.sum()), int(undecided.sum())


def _asked(name: str, export: Export, feedback: pd.DataFrame) -> tuple[set[str], int]:
    """Return the answers that users were asked about, and how many only their feedback marks.

    The mark is a tag or a metadata entry of a span, a score of its own, or a metadata entry of
    the feedback.
    """
    marks, scores = export.marks, export.scores[export.scores["name"] == name]
    tagged = marks["tags"].map(lambda tags: True if name in _tags(tags) else None)
    of_answers = _flagged(
        name,
        (marks["id"], tagged),
        (marks["id"], get(marks["metadata"], name)),
        (scores["id"], scores["value"]),
    )
    of_feedback = _flagged(name, (feedback["id"], get(feedback["metadata"], name)))
    if of_answers is None and of_feedback is None:
        tags = [tag for tags in marks["tags"] for tag in _tags(tags)]
        objects = map(decode, [*marks["metadata"], *feedback["metadata"]])
        keys = [key for entry in objects if isinstance(entry, Mapping) for key in entry]
        raise FileFormatError(
            f"asked_name={name!r} is neither among the tags {_listed(tags)}, nor the keys of "
            f"metadata {_listed(keys)}, nor the scores {_listed(export.scores['name'])}."
        )
    if of_answers is None:
        return of_feedback or set(), len(of_feedback or ())
    return of_answers | (of_feedback or set()), 0


def _flagged(name: str, *pairs: tuple[pd.Series, pd.Series]) -> set[str] | None:
    """Return the ids whose value is true, or None if there is no value."""
    filled = [(ids[values.notna()], values[values.notna()]) for ids, values in pairs]
    if all(values.empty for _, values in filled):
        return None
    return {
        answer
        for ids, values in filled
        for answer in ids[parse_flags(values, f"{name} of the answers")[0]]
    }


def _tags(value: Any) -> list[Any]:
    tags = decode(value)
    return list(tags) if is_list(tags) else []


def _same_name(one: str, other: str, name: str, what: str) -> str:
    return (
        f"{one}_name and {other}_name are both {name!r}, and one {what} cannot be both: name "
        "different ones."
    )


def _listed(names: Iterable[Any]) -> str:
    unique = sorted(set(map(str, names)))
    more = f" and {len(unique) - _N_LISTED} more" if len(unique) > _N_LISTED else ""
    return f"{unique[:_N_LISTED]}{more}"
