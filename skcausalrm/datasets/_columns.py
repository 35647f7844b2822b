"""Names that people give to the columns of a log, and the roles that these play."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from ..exceptions import FeedbackError
from ._values import parse_labels

# Spellings of each role's name, the canonical one first, in order of preference.
_ALIASES = {
    "id": ("id", "message_id", "uuid", "answer_id", "response_id", "request_id", "trace_id"),
    "prompt": (
        "prompt", "question", "query", "instruction", "input", "user_message", "user_input",
        "user_query", "user_prompt", "request", "prompt_text", "inputs",
    ),
    "completion": (
        "completion", "answer", "response", "output", "assistant_message", "assistant_response",
        "bot_response", "bot_message", "model_response", "model_output", "reply", "generation",
        "response_text", "chosen_response", "outputs",
    ),
    "messages": ("messages", "conversations", "chat"),
    "feedback": (
        "feedback", "label", "thumbs", "thumb", "user_feedback", "rating", "user_rating", "vote",
        "reaction", "user_score", "score", "feedback_score", "liked", "like", "is_liked",
        "is_positive", "helpful", "is_helpful", "upvote", "thumbs_up",
    ),
    "verified": ("verified",),
    "asked": ("asked",),
    "judge_score": ("judge_score",),
    "group": ("group",),
    "conversation": (
        "conversation", "conversation_id", "session_id", "session", "thread_id", "thread",
        "chat_id", "dialog_id", "dialogue_id", "dialog",
    ),
    "user": ("user", "user_id", "username", "user_name", "user_email", "uid", "customer_id"),
    "model": ("model", "model_name", "model_id", "llm", "generator", "engine"),
    "timestamp": ("timestamp", "created_at", "time", "datetime", "date", "created", "ts"),
    "comment": ("comment", "feedback_comment", "feedback_text", "comments"),
    "tags": ("tags", "feedback_tags", "reasons"),
    "turn": ("turn", "turn_index", "turn_id", "turn_number"),
    "latency": ("latency", "latency_s", "latency_seconds"),
    "prompt_tokens": ("prompt_tokens", "input_tokens"),
    "completion_tokens": ("completion_tokens", "output_tokens"),
    "next_message": ("next_message", "next_user_message"),
    "copied": ("copied", "is_copied", "was_copied", "copy"),
    "shared": ("shared", "is_shared", "was_shared"),
    "thanked": ("thanked", "thanks", "is_thanked"),
    "regenerated": (
        "regenerated", "is_regenerated", "was_regenerated", "regenerate", "retried", "retry",
    ),
    "rephrased": ("rephrased", "rephrase", "is_rephrased"),
    "edited": ("edited", "is_edited", "was_edited"),
    "complained": ("complained", "complaint", "is_complaint"),
    "abandoned": ("abandoned", "is_abandoned", "was_abandoned"),
}  # fmt: skip
ROLES = tuple(_ALIASES)
# Roles of what users did with an answer, besides rating it.
SIGNALS = (
    *("copied", "shared", "thanked", "regenerated", "rephrased", "edited", "complained"),
    "abandoned",
)
_SIGNAL_NAMES = {name: role for role in SIGNALS for name in _ALIASES[role]}
# Columns of dislikes by the names of the columns of likes.
_OPPOSITES = {
    "thumbs_up": "thumbs_down", "like": "dislike", "liked": "disliked", "upvote": "downvote",
}  # fmt: skip
# Names by which a column that no role reads may still be a rating; they are reported.
_SCORE_LIKE = re.compile(
    r"feedback|rating|thumb|score|vote|like|helpful|stars|satisf|csat|nps|reaction|reward|label",
    re.IGNORECASE,
)


def find_roles(columns: Iterable[Any]) -> dict[str, list[Any]]:
    """Return for each role the columns that may play it, the preferred one first.

    Spellings differ in case, spaces, dashes and camel case.
    """
    spelled: dict[str, Any] = {}
    for column in columns:
        spelled.setdefault(_snake_case(str(column)), column)
    return {
        role: [spelled[name] for name in names if name in spelled]
        for role, names in _ALIASES.items()
    }


def signal_role(name: Any) -> str | None:
    """Return the signal that a name stands for, if any.

    Examples
    --------
    >>> [signal_role(name) for name in ("wasCopied", "retry", "thumbs")]
    ['copied', 'regenerated', None]
    """
    return _SIGNAL_NAMES.get(_snake_case(str(name)))


def has_roles(columns: Iterable[Any], *roles: str) -> bool:
    """Return True if some column may play each role."""
    found = find_roles(columns)
    return all(found[role] for role in roles)


def _snake_case(name: str) -> str:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())
    return re.sub(r"[\s\-.]+", "_", words).lower()


def name_roles(
    records: pd.DataFrame,
    taken: Iterable[str],
    labels: Mapping[Any, float | None] | None,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Rename the columns that play a role to the role's name.

    Parameters
    ----------
    records : DataFrame
        A plain table.
    taken : iterable of str
        Roles that the caller named, whose columns have the role's name already.
    labels : dict or None
        Meaning of further spellings of labels.

    Returns
    -------
    frame : DataFrame
        The table with renamed columns.
    roles : dict
        The user's name of each renamed column, by role.
    """
    taken = set(taken)
    found = find_roles([name for name in records.columns if name not in taken])
    roles: dict[str, Any] = {}
    for role, names in found.items():
        if role in taken or not names:
            continue
        if role == "feedback":
            # The format of TRL's trainers has "label"; the two are compared by `read_plain`.
            names = [
                n for n in names if n in ("feedback", "label") or _is_label(records[n], labels)
            ]
        if names and names[0] not in roles.values():
            roles[role] = names[0]
    renamed = {name: role for role, name in roles.items() if name != role}
    if roles.get("feedback") == "label":
        del renamed["label"]
    return records.rename(columns=renamed), roles


def opposite(columns: Iterable[Any], name: Any) -> Any:
    """Return the column of dislikes next to a column of likes, or None."""
    wanted = _OPPOSITES.get(_snake_case(str(name)))
    return next((c for c in columns if wanted and _snake_case(str(c)) == wanted), None)


def score_like(frame: pd.DataFrame, used: Iterable[Any]) -> list[str]:
    """Return the unused columns that look like ratings, by their names and values."""
    rest = [name for name in frame.columns if name not in set(used)]
    return [
        str(name)
        for name in rest
        if _SCORE_LIKE.search(str(name)) and frame[name].notna().any() and _is_short(frame[name])
    ]


def _is_short(values: pd.Series) -> bool:
    """Return True if the values are numbers, flags or short texts."""
    sample = values.dropna().iloc[:200]
    return bool(sample.map(lambda value: len(str(value)) <= 40).all())


def _is_label(values: pd.Series, labels: Mapping[Any, float | None] | None) -> bool:
    return can_parse(lambda: parse_labels(values, "", labels)) and bool(values.notna().any())


def can_parse(parse: Callable[[], tuple[pd.Series, np.ndarray]]) -> bool:
    """Return True if a parser of `_values` reads all values."""
    try:
        return not parse()[1].any()
    except FeedbackError:
        return False
