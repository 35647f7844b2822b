"""Open WebUI: chats and feedback."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from ...exceptions import FileFormatError
from ...text._messages import content_text, is_list, join_parts
from .._left_out import LeftOut, add_summaries
from .._message_trees import Message, chained, export_chats
from .._spans import (
    SCORE_COLUMNS,
    USER,
    Export,
    Reading,
    first_filled,
    get,
    make_scores,
    missing,
    no_scores,
    pick,
)
from .._texts import decode
from ._tool import Tool

# Parts of an answer that are folded away; one without an end was interrupted.
_FOLDED = re.compile(
    r'<details\s+type="(?:reasoning|tool_calls|code_interpreter|web_search)"[^>]*>'
    r".*?(?:</details>\s*|\Z)",
    re.DOTALL | re.IGNORECASE,
)
_BARE = {"history", "messages", "models"}
_DRAWS = ["0", "0.0"]  # ratings of neither answer in the arena
_FIELDS = ("rating", "comment", "tags", "reason")
_NANOSECONDS = 1e9


def read(records: pd.DataFrame, scores: pd.DataFrame | None, reading: Reading) -> Export:
    """Read chats with feedback, or feedback that contains the chats."""
    if set(records.columns) >= _BARE:  # chats without what the server keeps about them
        chats = pd.Series(records.to_dict("records"), index=records.index, dtype=object)
        records = records.assign(chat=chats)
    if "chat" not in records.columns and "snapshot" not in records.columns:
        raise FileFormatError(
            "This Open WebUI list of chats holds no messages: export the chats themselves "
            "(all chats by the administrator, or Export Chats in the settings)."
        )
    alone = "snapshot" in records.columns
    if alone:
        names = get(pick(records, "meta"), "chat_id")
        holders = pick(records, "snapshot")
    else:
        names, holders = pick(records, "id"), pick(records, "chat")
    names = names.where(names.notna(), [f"row {row}" for row in range(len(records))]).astype(str)
    found = [
        list(_messages(decode(holder), name, user))
        for holder, name, user in zip(holders, names, pick(records, "user_id"), strict=True)
    ]
    left_out = LeftOut(names, reading.on_error)
    left_out.drop(np.array([not messages for messages in found]), "no messages")
    messages = [message for each in found for message in each]
    feedback = records if alone else scores
    raw = no_scores() if feedback is None else _read_feedback(feedback, messages)
    export = export_chats(messages, raw, reading.on_error, "Open WebUI")
    export.left_out = add_summaries(left_out.summary(), export.left_out)
    if alone:
        export.answers = export.answers[export.answers["id"].isin(raw["id"])]
        return export
    inside = _inside(messages)
    rest = inside["id"].isin(export.answers["id"]) & ~inside["id"].isin(export.scores["id"])
    export.scores = pd.concat([export.scores, inside[rest]], ignore_index=True)[SCORE_COLUMNS]
    return export


def _read_feedback(feedback: pd.DataFrame, messages: list[Message]) -> pd.DataFrame:
    """Return the scores in exported feedback, or in the table of the administrator's page.

    That table does not name the rated message, but recent versions write its id into the message.
    """
    if {"data", "meta"} <= set(feedback.columns):
        data, meta = feedback["data"], feedback["meta"]
        span = get(meta, "chat_id").astype(str) + "/" + get(meta, "message_id").astype(str)
        fields = {name: get(data, name) for name in _FIELDS}
    else:
        span = pick(feedback, "id").map(
            {m.value["feedbackId"]: m.id for m in messages if m.value.get("feedbackId")}
        )
        if span.isna().all():
            raise FileFormatError(
                "The Open WebUI feedback has no columns 'data' and 'meta', in which the rated "
                "message is named, and no message names it: export the feedback as JSON."
            )
        meta = missing(feedback)
        fields = {name: pick(feedback, name) for name in _FIELDS}
    return _scores(
        feedback,
        span,
        **fields,
        rater=pick(feedback, "user_id"),
        timestamp=pick(feedback, "updated_at", "created_at"),
        metadata=meta,
    )


def _inside(messages: list[Message]) -> pd.DataFrame:
    """Return the ratings inside the chats as scores."""
    table = pd.DataFrame(
        [(m.id, m.value["annotation"]) for m in messages if m.value.get("annotation")],
        columns=["id", "annotation"],
        dtype=object,
    )
    fields = {name: get(table["annotation"], name) for name in _FIELDS}
    empty = missing(table)
    raw = _scores(table, table["id"], **fields, rater=empty, timestamp=empty, metadata=empty)
    return raw[raw["value"].notna()]


def _scores(
    frame: pd.DataFrame,
    span: pd.Series,
    *,
    rating: pd.Series,
    comment: pd.Series,
    tags: pd.Series,
    reason: pd.Series,
    **more: pd.Series,
) -> pd.DataFrame:
    """Return ratings as scores; reasons are tags."""
    return make_scores(
        frame,
        span=span,
        trace=missing(frame),
        name=pd.Series("rating", index=frame.index),
        value=rating.mask(rating.astype(str).isin(_DRAWS)),
        kind=pd.Series(USER, index=frame.index),
        comment=comment.where(comment.astype(bool), None),
        **more,
    ).assign(tags=first_filled(tags.where(tags.astype(bool), None), reason))


def _messages(holder: Any, chat_id: str, user: Any) -> Iterator[Message]:
    """Yield the messages of a chat, however deep it lies; none if it holds none."""
    chat = holder
    while isinstance(chat, Mapping) and not {"history", "messages"} & set(chat):
        chat = decode(chat.get("chat"))
    if not isinstance(chat, Mapping):
        return
    history = decode(chat.get("history"))
    held: Any = decode(history.get("messages")) if isinstance(history, Mapping) else None
    listed: Any = decode(chat.get("messages"))
    if not held and is_list(listed):  # made by the API
        yield from chained(
            [
                _message(message, str(message.get("id", place)), None, chat_id, user)
                for place, message in enumerate(listed)
                if isinstance(message, Mapping)
            ]
        )
        return
    if is_list(held):
        held = {
            message.get("id", place): message
            for place, message in enumerate(held)
            if isinstance(message, Mapping)
        }
    system = decode(chat.get("params"))
    system = system.get("system") if isinstance(system, Mapping) else None
    top = None
    if isinstance(system, str) and system.strip():
        top = f"{chat_id}/system prompt"
        yield Message(top, None, chat_id, {"role": "system", "content": system})
    for key, message in held.items() if isinstance(held, Mapping) else ():
        if isinstance(message, Mapping):
            above = message.get("parentId")
            yield _message(
                message, str(key), top if above is None else f"{chat_id}/{above}", chat_id, user
            )


def _message(
    message: Mapping[str, Any], key: str, parent: str | None, chat_id: str, user: Any
) -> Message:
    text = content_text(message.get("content"))
    if not text.strip() and is_list(message.get("output")):  # items of OpenAI's Responses API
        items = [item for item in message["output"] if isinstance(item, Mapping)]
        text = join_parts(content_text(i) for i in items if i.get("type") == "message")
    original = message.get("originalContent")
    columns = {}
    if message.get("role") == "assistant":
        usage = _object(message.get("usage"))
        duration: Any = usage.get("total_duration")
        is_number = isinstance(duration, int | float)
        if isinstance(original, str):  # the model's text before the user edited it
            text, edited = original, original != text
        else:
            edited = False
        text = "" if message.get("error") else _FOLDED.sub("", text).strip()
        columns = {
            "user": user,
            # In the arena `model` is the arena itself.
            "model": message.get("selectedModelId") or message.get("model"),
            "timestamp": message.get("timestamp"),
            "edited": edited,
            "latency": duration / _NANOSECONDS if is_number else None,
            "prompt_tokens": _first(usage, "prompt_tokens", "input_tokens", "prompt_eval_count"),
            "completion_tokens": _first(usage, "completion_tokens", "output_tokens", "eval_count"),
        }
    value = {"role": message.get("role"), "content": text}
    value |= {name: message.get(name) for name in ("annotation", "feedbackId")}
    return Message(f"{chat_id}/{key}", parent, chat_id, value, columns)


def _object(value: Any) -> Mapping[str, Any]:
    value = decode(value)
    return value if isinstance(value, Mapping) else {}


def _first(usage: Mapping[str, Any], *names: str) -> Any:
    return next((usage[name] for name in names if usage.get(name) is not None), None)


def detect(columns: set[str]) -> bool:
    """Return True for chats, lists of chats, or feedback."""
    return (
        {"snapshot", "meta"} <= columns
        or {"chat", "user_id"} <= columns
        or columns >= _BARE
        or {"data", "meta", "type", "user_id"} <= columns
        or {"chat_id", "model_id", "rating", "sibling_model_ids"} <= columns
        or {"title", "snippet", "last_read_at"} <= columns
    )


TOOL = Tool(
    "open-webui",
    read,
    detect,
    scores_alone=lambda columns: (
        bool({"data", "sibling_model_ids"} & columns) and not {"snapshot", "chat"} & columns
    ),
)
