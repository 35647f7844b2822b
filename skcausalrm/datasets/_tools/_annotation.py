"""Annotation tools, whose labels are verified: Argilla and Label Studio."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from ...text._messages import as_plain, is_list
from .._spans import (
    HUMAN,
    Export,
    Reading,
    Spans,
    find_answers,
    first_filled,
    get,
    make_scores,
    missing,
    no_scores,
    pick,
)
from .._texts import decode
from ._tool import Tool


def read_argilla(records: pd.DataFrame, scores: pd.DataFrame | None, reading: Reading) -> Export:
    """Read records; each person's response to a question is a label."""
    found = [
        {"span": record, "name": question, "value": answer.get("value"), "rater": _user(answer)}
        for record, responses in zip(pick(records, "id"), pick(records, "responses"), strict=True)
        for question, answer in _responses(decode(responses))
        if answer.get("status") != "discarded"
    ]
    return _export(records, "fields", found, reading)


def _responses(responses: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield question and answer of `Record.to_dict`, in both of its forms."""
    if isinstance(responses, Mapping):
        for question, answers in responses.items():
            for answer in map(as_plain, answers if is_list(answers) else [answers]):
                if isinstance(answer, Mapping):
                    yield str(question), answer
    elif is_list(responses):
        for answer in map(as_plain, responses):
            if isinstance(answer, Mapping):
                yield str(answer.get("question_name")), answer


def _user(answer: Mapping[str, Any]) -> Any:
    return answer.get("user_id")


def read_label_studio(
    records: pd.DataFrame, scores: pd.DataFrame | None, reading: Reading
) -> Export:
    """Read tasks; each person's choice or rating is a label."""
    found = []
    for task, given in zip(pick(records, "id"), pick(records, "annotations"), strict=True):
        items = decode(given)
        for annotation in map(as_plain, items if is_list(items) else ()):
            if not isinstance(annotation, Mapping) or annotation.get("was_cancelled") is True:
                continue
            results: Any = annotation.get("result")
            for result in results if is_list(results) else ():
                if isinstance(result, Mapping):
                    found.append(
                        {
                            "span": task,
                            "name": result.get("from_name"),
                            "value": _choice(result.get("value")),
                            "rater": annotation.get("completed_by"),
                            "timestamp": annotation.get("created_at"),
                        }
                    )
    return _export(records, "data", found, reading)


def _choice(value: Any) -> Any:
    """Return the choice, rating or number of a result."""
    if not isinstance(value, Mapping):
        return value
    kinds = ("choices", "rating", "number", "text")
    first: Any = next((value[kind] for kind in kinds if kind in value), None)
    return first[0] if is_list(first) and len(first) == 1 else first


def _export(
    records: pd.DataFrame, field: str, found: list[dict[str, Any]], reading: Reading
) -> Export:
    table = pd.DataFrame(
        found, columns=["span", "name", "value", "rater", "timestamp"], dtype=object
    )
    raw = no_scores()
    if found:
        raw = make_scores(
            table,
            trace=missing(table),
            kind=pd.Series(HUMAN, index=table.index),
            comment=missing(table),
            metadata=missing(table),
            **{str(name): table[name] for name in table.columns},
        )
    metadata = pick(records, "metadata", "meta")
    texts = pick(records, field).map(decode)
    ids = pick(records, "id")
    spans = Spans(
        ids=ids,
        parents=missing(records),
        traces=ids,
        inputs=texts,
        outputs=texts,
        columns={
            "model": first_filled(get(metadata, "model"), get(texts, "model")),
            "user": get(metadata, "user_id"),
            "timestamp": pick(records, "inserted_at", "created_at"),
        },
        tags=missing(records),
        metadata=metadata,
    )
    export = find_answers(spans, raw, reading)
    names = export.scores["name"].unique()
    if len(names) == 1:  # the only question that people were asked
        export.verified = names[0]
    return export


ARGILLA = Tool("argilla", read_argilla, lambda columns: {"fields", "responses"} <= columns)
LABEL_STUDIO = Tool(
    "label-studio", read_label_studio, lambda columns: {"data", "annotations"} <= columns
)
