"""Annotation tools, whose labels are verified: Argilla and Label Studio."""

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any

import pandas as pd

from ...text._messages import as_messages, as_plain, is_list
from .._columns import find_roles
from .._spans import (
    HUMAN,
    MODEL,
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
from .._texts import Refused, Unreadable, decode, decode_chat, decode_list
from ._tool import Tool

# Endings of the columns that `to_list(flatten=True)` makes of Argilla's questions.
_ANSWERS, _RATERS, _STATES = ".responses", ".responses.users", ".responses.status"
_SUGGESTED = (".suggestion", ".suggestion.score", ".suggestion.agent")
_SETTLED = ("submitted", "None", "nan")  # states of a response that counts
# Columns that JSON-MIN and CSV exports of Label Studio add to the data and the questions.
_OF_ANNOTATIONS = {
    *("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement"),
}
_JUDGEMENTS = ("feedback", "verified", "asked", "judge_score", "comment", "tags")
_CHOICES = ("choices", "rating", "number", "text", "taxonomy")


def read_argilla(records: pd.DataFrame, scores: pd.DataFrame | None, reading: Reading) -> Export:
    """Read records; each person's response is a label, and each suggestion a model's score."""
    questions = [
        name.removesuffix(_ANSWERS) for name in map(str, records.columns) if name.endswith(_ANSWERS)
    ]
    if questions and "fields" not in records.columns:
        records = _unflattened(records, questions)
    found, unsubmitted = [], 0
    for record, responses, suggestions in zip(
        *(pick(records, name) for name in ("id", "responses", "suggestions")), strict=True
    ):
        for question, answer in _answers(decode(responses)):
            if str(answer.get("status")) in _SETTLED:
                found.append(_label(record, question, answer.get("value"), answer.get("user_id")))
            else:
                unsubmitted += 1
        for question, answer in _answers(decode(suggestions)):
            if answer.get("value") is not None:
                found.append(
                    _label(record, question, answer["value"], answer.get("agent"), kind=MODEL)
                )
    return _export(records, "fields", found, unsubmitted, reading)


def _label(
    record: Any, question: Any, value: Any, rater: Any, kind: str = HUMAN, timestamp: Any = None
) -> dict[str, Any]:
    return {
        "span": record,
        "name": question,
        "value": value,
        "kind": kind,
        "rater": rater,
        "timestamp": timestamp,
    }


def _unflattened(records: pd.DataFrame, questions: list[str]) -> pd.DataFrame:
    """Return records of `to_list(flatten=True)` in the form of `Record.to_dict`."""
    endings = (_ANSWERS, _RATERS, _STATES, *_SUGGESTED)
    own = {"id", "status", "_server_id", "inserted_at", "updated_at"}
    own |= {question + ending for question in questions for ending in endings}
    rows = []
    for row in records.to_dict("records"):
        responses = {
            question: [
                {"value": value, "user_id": rater, "status": state}
                for value, rater, state in zip_longest(
                    *(
                        decode_list(row.get(question + ending))
                        for ending in (_ANSWERS, _RATERS, _STATES)
                    )
                )
            ]
            for question in questions
        }
        suggestions = {
            question: {
                "value": row.get(f"{question}.suggestion"),
                "agent": row.get(f"{question}.suggestion.agent"),
            }
            for question in questions
        }
        fields = {name: value for name, value in row.items() if name not in own}
        rows.append(
            {
                **{name: row.get(name) for name in ("id", "inserted_at")},
                "fields": fields,
                "responses": responses,
                "suggestions": suggestions,
            }
        )
    return pd.DataFrame(rows, dtype=object)


def _answers(responses: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield question and answer of `Record.to_dict` or of the server."""
    if isinstance(responses, Mapping):
        for question, answers in responses.items():
            for answer in map(as_plain, answers if is_list(answers) else [answers]):
                if isinstance(answer, Mapping):
                    yield str(question), answer
    elif is_list(responses):
        for answer in map(as_plain, responses):
            if isinstance(answer, Mapping):
                yield str(answer.get("question_name")), answer


def read_label_studio(
    records: pd.DataFrame, scores: pd.DataFrame | None, reading: Reading
) -> Export:
    """Read tasks; a person's choice or rating is a label, and a prediction a model's score."""
    if "annotations" not in records.columns:
        records = _tasks(records)
    found, unsubmitted = [], 0
    for task, given, predicted in zip(
        *(pick(records, name) for name in ("id", "annotations", "predictions")), strict=True
    ):
        for annotation in map(as_plain, decode_list(given)):
            if not isinstance(annotation, Mapping):
                continue
            if annotation.get("was_cancelled") is True:
                unsubmitted += 1
                continue
            rater = annotation.get("completed_by")
            rater = rater.get("id") if isinstance(rater, Mapping) else rater
            time = annotation.get("updated_at") or annotation.get("created_at")
            for name, value in _results(annotation):
                found.append(_label(task, name, value, rater, timestamp=time))
        for prediction in map(as_plain, decode_list(predicted)):
            if isinstance(prediction, Mapping):
                for name, value in _results(prediction):
                    rater = prediction.get("model_version")
                    found.append(_label(task, name, value, rater, kind=MODEL))
    return _export(records, "data", found, unsubmitted, reading)


def _tasks(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the tasks of exports as JSON-MIN and CSV, whose rows are annotations."""
    roles = find_roles(rows.columns)
    data = {name for role, names in roles.items() if role not in _JUDGEMENTS for name in names}
    questions = [name for name in rows.columns if name not in data | _OF_ANNOTATIONS]
    tasks: dict[str, dict[str, Any]] = {}
    for number, row in enumerate(rows.to_dict("records")):
        values = {name: value for name, value in row.items() if is_list(value) or pd.notna(value)}
        key = values.get("id", f"row {number}")
        fields = {name: value for name, value in values.items() if name not in _OF_ANNOTATIONS}
        task = tasks.setdefault(str(key), {"id": key, "data": fields, "annotations": []})
        result = [
            {"from_name": name, "value": decode(values[name])}
            for name in questions
            if name in values
        ]
        task["annotations"].append(
            {
                "completed_by": values.get("annotator"),
                "updated_at": values.get("updated_at"),
                "result": result,
            }
        )
    return pd.DataFrame(list(tasks.values()), dtype=object)


def _results(annotation: Mapping[Any, Any]) -> Iterator[tuple[Any, Any]]:
    """Yield the question and the value of each result."""
    for result in map(as_plain, decode_list(annotation.get("result"))):
        if isinstance(result, Mapping):
            yield result.get("from_name"), _choice(result.get("value"))


def _choice(value: Any) -> Any:
    """Return the choice, rating or number of a result."""
    if not isinstance(value, Mapping):
        return value
    first: Any = next((value[kind] for kind in _CHOICES if kind in value), None)
    return first[0] if is_list(first) and len(first) == 1 else first


def _export(
    records: pd.DataFrame,
    field: str,
    found: list[dict[str, Any]],
    unsubmitted: int,
    reading: Reading,
) -> Export:
    table = pd.DataFrame(found, dtype=object)
    raw = no_scores()
    if found:
        raw = make_scores(
            table,
            trace=missing(table),
            comment=missing(table),
            metadata=missing(table),
            **{str(name): table[name] for name in table.columns},
        )
    metadata = pick(records, "metadata", "meta")
    texts = pick(records, field).map(decode)
    sides = texts.map(lambda fields: _sides(fields, reading))
    ids = pick(records, "id")
    spans = Spans(
        ids=ids,
        parents=missing(records),
        traces=ids,
        inputs=sides.str[0],
        outputs=sides.str[1],
        columns={
            "model": first_filled(get(metadata, "model"), get(texts, "model")),
            "user": get(metadata, "user_id"),
            "conversation": first_filled(
                get(metadata, "conversation_id"), get(texts, "conversation_id")
            ),
            "timestamp": pick(records, "inserted_at", "created_at"),
        },
        tags=missing(records),
        metadata=metadata,
    )
    export = find_answers(spans, raw, reading)
    names = export.scores.loc[export.scores["kind"] == HUMAN, "name"].unique()
    if len(names) == 1:  # the only question that people were asked
        export.verified = names[0]
    export.counts["n_unsubmitted"] = unsubmitted
    return export


def _sides(fields: Any, reading: Reading) -> tuple[Any, Any]:
    """Return the values that hold the prompt and the answer.

    They are the two parts of the only chat that an assistant ends, else the fields themselves, or
    the only other chat and the rest of the fields. A text that both would be read from, such as
    the only one of a classification, is no answer.
    """
    if not isinstance(fields := as_plain(fields), Mapping):
        return fields, fields
    chats = {name: as_messages(decode_chat(value)) for name, value in fields.items()}
    found = [chat for chat in chats.values() if chat and chat[-1]["role"] == "assistant"]
    if len(found) == 1 and len(found[0]) > 1:
        return found[0][:-1], found[0][-1]
    try:
        prompt, completion = reading.prompt(fields), reading.completion(fields)
    except (Unreadable, RecursionError):
        others = [name for name, chat in chats.items() if chat and chat not in found]
        if len(others) != 1:
            return fields, fields
        rest = {name: value for name, value in fields.items() if name != others[0]}
        return chats[others[0]], rest
    same = prompt == completion and [*fields.values()].count(prompt) < 2
    return Refused("unreadable prompt") if same else fields, fields


def _is_argilla(columns: set[str]) -> bool:
    return {"fields", "responses"} <= columns or any(name.endswith(_RATERS) for name in columns)


ARGILLA = Tool("argilla", read_argilla, _is_argilla, scores_inside=True)
LABEL_STUDIO = Tool(
    "label-studio",
    read_label_studio,
    lambda columns: (
        {"data", "annotations"} <= columns or columns >= _OF_ANNOTATIONS - {"agreement"}
    ),
    scores_inside=True,
)
