"""Weights & Biases Weave: calls with the feedback inside them."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from ...text._messages import as_plain
from .._spans import (
    HUMAN,
    MODEL,
    USER,
    Export,
    Reading,
    Spans,
    find_answers,
    first_filled,
    get,
    make_scores,
    no_scores,
    pick,
    seconds_between,
)
from .._texts import decode, decode_list
from ._tool import Tool

_REACTION, _ANNOTATION, _RUNNABLE = "wandb.reaction.", "wandb.annotation.", "wandb.runnable."


def read(records: pd.DataFrame, scores: pd.DataFrame | None, reading: Reading) -> Export:
    """Read calls; feedback by call, or from `summary.weave.feedback`."""
    ids = pick(records, "id")
    summary, attributes = pick(records, "summary"), pick(records, "attributes")
    used = [get(summary, "usage").map(_usage).str[place] for place in range(3)]
    start, end = pick(records, "started_at"), pick(records, "ended_at")
    table = Spans(
        ids=ids,
        parents=pick(records, "parent_id"),
        traces=first_filled(pick(records, "trace_id"), ids),
        inputs=pick(records, "inputs").map(_without_self, na_action="ignore"),
        outputs=pick(records, "output"),
        columns={
            "user": get(attributes, "user_id"),
            "conversation": first_filled(
                pick(records, "thread_id"),
                get(attributes, "session_id"),
                get(attributes, "thread_id"),
            ),
            "model": first_filled(
                get(pick(records, "inputs"), "model"), get(attributes, "model"), used[0]
            ),
            "timestamp": start,
            "latency": seconds_between(start, end),
            "prompt_tokens": used[1],
            "completion_tokens": used[2],
        },
        tags=get(attributes, "tags"),
        metadata=attributes,
    )
    if scores is None:
        lists = first_filled(get(summary, "weave", "feedback"), pick(records, "feedback"))
        found = [
            row
            for call, items in zip(ids, lists, strict=True)
            for item in decode_list(items)
            for row in _feedback(call, as_plain(item))
        ]
    else:
        items: list[Any] = scores.to_dict("records")
        found = [row for item in items for row in _feedback(_call(item), item)]
    raw = pd.DataFrame(found)
    raw = no_scores() if raw.empty else make_scores(raw, **{str(n): raw[n] for n in raw.columns})
    return find_answers(table, raw, reading)


def _without_self(inputs: Any) -> Any:
    inputs = as_plain(decode(inputs))
    if not isinstance(inputs, Mapping):
        return inputs
    return {name: value for name, value in inputs.items() if name != "self"}


def _usage(usage: Any) -> tuple[Any, Any, Any]:
    """Return the model, if it is one, and the tokens of prompts and answers."""
    entries = {} if not isinstance(usage, Mapping) else usage
    counts = [entry for entry in entries.values() if isinstance(entry, Mapping)]

    def total(*names: str) -> Any:
        found = [entry[name] for entry in counts for name in names if entry.get(name) is not None]
        numbers = [number for number in found if isinstance(number, int | float)]
        return sum(numbers) if numbers else None

    return (
        next(iter(entries)) if len(entries) == 1 else None,
        total("prompt_tokens", "input_tokens"),
        total("completion_tokens", "output_tokens"),
    )


def _call(item: Mapping[str, Any]) -> Any:
    """Return the call's id in a reference such as weave:///team/project/call/ID."""
    return item.get("call_id") or str(item.get("weave_ref")).rpartition("/")[2]


def _feedback(call: Any, item: Any) -> Iterator[dict[str, Any]]:
    """Yield the score in an item of feedback; a note is none."""
    if not isinstance(item, Mapping):
        return
    kind, payload = str(item.get("feedback_type")), as_plain(decode(item.get("payload")))
    payload = payload if isinstance(payload, Mapping) else {"value": payload}
    if kind.startswith("wandb.note"):
        return
    if kind.startswith(_REACTION):
        name, value, rater = "reaction", payload.get("emoji") or payload.get("alias"), USER
    elif kind.startswith(_ANNOTATION):
        name, value, rater = kind.removeprefix(_ANNOTATION), payload.get("value"), HUMAN
    elif kind.startswith(_RUNNABLE):
        name, value, rater = kind.removeprefix(_RUNNABLE), payload.get("output"), MODEL
    else:
        value = payload.get("value", next(iter(payload.values()), None))
        name, rater = kind, USER
    yield {
        "span": call,
        "trace": None,
        "name": name,
        "value": value,
        "kind": rater,
        "rater": item.get("creator") or item.get("wb_user_id"),
        "timestamp": item.get("created_at"),
        "comment": payload.get("note") or payload.get("comment"),
        "metadata": None,
    }


def detect(columns: set[str]) -> bool:
    """Return True for calls."""
    return {"op_name", "inputs", "output"} <= columns


TOOL = Tool("weave", read, detect)
