"""Readers of the exports of tracing tools: raw records in, an `Export` out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from ..exceptions import FileFormatError
from ._exports import (
    HUMAN,
    MODEL,
    SCORE_COLUMNS,
    UNKNOWN,
    USER,
    Export,
    build,
    embedded,
    get,
    index_to_column,
    make_scores,
    no_marks,
    no_scores,
    pick,
    require,
)
from ._values import as_message, content_text, is_sequence, parse_json, simplify_prompt


def read_langfuse(records: pd.DataFrame, scores: pd.DataFrame | None) -> Export:
    """Read traces, or observations with their trace's fields; scores by trace or observation."""
    is_observation = {"traceId", "trace_id"} & set(records.columns)
    ids = pick(records, "id")
    if scores is None:
        scores = embedded(records, "scores")
    raw = no_scores()
    if scores is not None:
        require(scores, "Langfuse scores", ("name",), ("traceId", "trace_id"))
        number = pick(scores, "value")
        text = pick(scores, "stringValue", "string_value")
        # The number of a categorical score is the position of its category.
        categorical = pick(scores, "dataType", "data_type") == "CATEGORICAL"
        raw = make_scores(
            scores,
            span=pick(scores, "observationId", "observation_id"),
            trace=pick(scores, "traceId", "trace_id"),
            name=scores["name"],
            value=text.where(text.notna() & (categorical | number.isna()), number),
            kind=pick(scores, "source")
            .map({"API": USER, "ANNOTATION": HUMAN, "EVAL": MODEL})
            .fillna(UNKNOWN),
            rater=pick(scores, "authorUserId", "author_user_id"),
            timestamp=pick(
                scores, "timestamp", "updatedAt", "updated_at", "createdAt", "created_at"
            ),
            comment=pick(scores, "comment"),
            metadata=pick(scores, "metadata"),
        )
    return build(
        ids=ids,
        parents=pick(records, "parentObservationId", "parent_observation_id"),
        traces=pick(records, "traceId", "trace_id") if is_observation else ids,
        candidate=np.ones(len(records), dtype=bool),
        inputs=pick(records, "input"),
        outputs=pick(records, "output"),
        columns={
            "user": pick(records, "userId", "user_id"),
            "model": pick(records, "model", "providedModelName", "provided_model_name"),
            "timestamp": pick(records, "timestamp", "startTime", "start_time"),
        },
        tags=pick(records, "tags"),
        metadata=pick(records, "metadata"),
        scores=raw,
    )


def read_langsmith(records: pd.DataFrame, scores: pd.DataFrame | None) -> Export:
    """Read runs; feedback by run id."""
    ids = pick(records, "id")
    traces = pick(records, "trace_id")
    raw = no_scores()
    if scores is not None:
        require(scores, "LangSmith feedback", ("key",), ("run_id",))
        source = pick(scores, "feedback_source")
        origin = get(source, "type")
        # "app" is LangSmith's own interface, where the team annotates.
        kind = origin.map({"api": USER, "app": HUMAN}).fillna(MODEL).mask(origin.isna(), UNKNOWN)
        score = pick(scores, "score")
        raw = make_scores(
            scores,
            span=scores["run_id"],
            trace=pick(scores, "trace_id"),
            name=scores["key"],
            value=score.where(score.notna(), pick(scores, "value")),
            kind=kind,
            rater=get(source, "user_id"),
            timestamp=pick(scores, "modified_at", "created_at"),
            comment=pick(scores, "comment"),
            metadata=get(source, "metadata"),
        )
    metadata = get(pick(records, "extra"), "metadata")
    return build(
        ids=ids,
        parents=pick(records, "parent_run_id"),
        traces=traces.where(traces.notna(), ids),
        candidate=np.ones(len(records), dtype=bool),
        inputs=pick(records, "inputs"),
        outputs=pick(records, "outputs"),
        columns={
            "user": get(metadata, "user_id"),
            "model": get(metadata, "ls_model_name"),
            "timestamp": pick(records, "start_time"),
        },
        tags=pick(records, "tags"),
        metadata=metadata,
        scores=raw,
    )


def read_phoenix(records: pd.DataFrame, scores: pd.DataFrame | None) -> Export:
    """Read spans; annotations by span id."""
    records = index_to_column(records)
    attributes = pick(records, "attributes")

    def attribute(*path: str) -> pd.Series:
        values = pick(records, ".".join(("attributes", *path)))
        return values if values.notna().any() else get(attributes, *path)

    context = pick(records, "context")
    spans = pick(records, "context.span_id", "span_id")
    traces = pick(records, "context.trace_id", "trace_id")
    raw = no_scores()
    if scores is not None:
        scores = index_to_column(scores)
        require(scores, "Phoenix annotations", ("span_id",), ("annotation_name", "name"))
        result = pick(scores, "result")

        def of_result(key: str) -> pd.Series:
            flat = pick(scores, f"result.{key}", key)
            return flat if flat.notna().any() else get(result, key)

        score = of_result("score")
        annotator = pick(scores, "annotator_kind")
        in_app = pick(scores, "source") == "APP"  # given in Phoenix's own interface
        human = annotator == "HUMAN"
        kind = pd.Series(MODEL, index=scores.index, dtype=object)
        kind = kind.mask(human, USER).mask(human & in_app, HUMAN).mask(annotator.isna(), UNKNOWN)
        raw = make_scores(
            scores,
            span=scores["span_id"],
            trace=pd.Series(None, index=scores.index, dtype=object),
            name=pick(scores, "annotation_name", "name"),
            value=score.where(score.notna(), of_result("label")),
            kind=kind,
            # One account may write for many people through the API; the identifier differs.
            rater=pick(scores, "user_id").astype(str)
            + "/"
            + pick(scores, "identifier").astype(str),
            timestamp=pick(scores, "updated_at", "created_at"),
            comment=of_result("explanation"),
            metadata=pick(scores, "metadata"),
        )
    inputs = attribute("input", "value")
    return build(
        ids=spans if spans.notna().any() else get(context, "span_id"),
        parents=pick(records, "parent_id"),
        traces=traces if traces.notna().any() else get(context, "trace_id"),
        candidate=inputs.notna().to_numpy(),
        inputs=inputs,
        outputs=attribute("output", "value"),
        columns={
            "user": attribute("user", "id"),
            "model": attribute("llm", "model_name"),
            "timestamp": pick(records, "start_time"),
        },
        tags=attribute("tag", "tags"),
        metadata=attribute("metadata"),
        scores=raw,
    )


def read_otel(records: pd.DataFrame, scores: pd.DataFrame | None) -> Export:
    """Read OTLP spans with gen_ai attributes, and gen_ai.evaluation.result events."""
    spans = pd.DataFrame(_otlp_items(records, "resourceSpans", "scopeSpans", "spans"))
    events = [
        {**event, "spanId": span, "traceId": trace}
        for span, trace, items in zip(
            pick(spans, "spanId"), pick(spans, "traceId"), pick(spans, "events"), strict=True
        )
        if is_sequence(items)
        for event in items
    ]
    for logs in (records, scores):
        if logs is not None:
            events += _otlp_items(logs, "resourceLogs", "scopeLogs", "logRecords")
    attributes = pick(spans, "attributes").map(_otlp_attributes)

    def attribute(name: str) -> pd.Series:
        return attributes.map(lambda values: values.get(name))

    raw = no_scores()
    results = [event for event in events if _event_name(event) == "gen_ai.evaluation.result"]
    if results:
        table = pd.DataFrame(results)
        fields = pick(table, "attributes").map(_otlp_attributes)

        def result(name: str) -> pd.Series:
            return fields.map(lambda values: values.get(name))

        responses = attribute("gen_ai.response.id")
        by_response = pd.Series(
            pick(spans, "spanId").to_numpy(), index=responses.astype(object).to_numpy()
        )
        by_response = by_response[by_response.index.notna()]
        by_response = by_response[~by_response.index.duplicated()]
        of_response = result("gen_ai.response.id").map(by_response)
        value = result("gen_ai.evaluation.score.value")
        raw = make_scores(
            table,
            span=of_response.where(of_response.notna(), pick(table, "spanId")),
            trace=pd.Series(None, index=table.index, dtype=object),
            name=result("gen_ai.evaluation.name"),
            value=value.where(value.notna(), result("gen_ai.evaluation.score.label")),
            # The convention does not record who evaluated, so the caller names the scores.
            kind=pd.Series(UNKNOWN, index=table.index),
            rater=pd.Series(None, index=table.index, dtype=object),
            timestamp=pick(table, "timeUnixNano", "observedTimeUnixNano"),
            comment=result("gen_ai.evaluation.explanation"),
            metadata=fields,
        )
    inputs = _with_system(
        attribute("gen_ai.input.messages"), attribute("gen_ai.system_instructions")
    )
    outputs = attribute("gen_ai.output.messages")
    response_model = attribute("gen_ai.response.model")
    user = attribute("user.id")
    return build(
        ids=pick(spans, "spanId"),
        parents=pick(spans, "parentSpanId"),
        traces=pick(spans, "traceId"),
        candidate=(inputs.notna() | outputs.notna()).to_numpy(),
        inputs=inputs,
        outputs=outputs,
        columns={
            "user": user.where(user.notna(), attribute("enduser.id")),
            "model": response_model.where(
                response_model.notna(), attribute("gen_ai.request.model")
            ),
            "timestamp": pick(spans, "startTimeUnixNano"),
        },
        tags=pd.Series(None, index=spans.index, dtype=object),
        metadata=attributes,
        scores=raw,
    )


def _with_system(inputs: pd.Series, system: pd.Series) -> pd.Series:
    def join(messages: Any, instructions: Any) -> Any:
        messages, instructions = parse_json(messages), parse_json(instructions)
        if not isinstance(instructions, str | list) or not is_sequence(messages):
            return messages
        return [{"role": "system", "content": content_text(instructions)}, *messages]

    return pd.Series(map(join, inputs, system), index=inputs.index, dtype=object)


def _otlp_items(records: pd.DataFrame, *levels: str) -> list[dict[str, Any]]:
    items: list[Any] = records.to_dict("records")
    for level in levels:
        lists = [item.get(level) for item in items]
        items = [child for children in lists if is_sequence(children) for child in children]
    return items


def _otlp_attributes(pairs: Any) -> dict[str, Any]:
    if not is_sequence(pairs):
        return {}
    return {pair["key"]: _otlp_value(pair.get("value")) for pair in pairs}


def _otlp_value(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return None
    if "arrayValue" in value:
        return [_otlp_value(item) for item in value["arrayValue"].get("values", [])]
    if "kvlistValue" in value:
        return _otlp_attributes(value["kvlistValue"].get("values", []))
    if "intValue" in value:
        return int(value["intValue"])  # 64-bit integers are texts in OTLP JSON
    return next(iter(value.values()), None)


def _event_name(event: Mapping[str, Any]) -> Any:
    name = event.get("eventName") or event.get("name")
    return name if isinstance(name, str) else _otlp_attributes(event.get("attributes")).get(
        "event.name"
    )  # fmt: skip


def read_open_webui(records: pd.DataFrame, scores: pd.DataFrame | None) -> Export:
    """Read chats with feedback, or feedback that contains the chats."""
    feedback = records if "snapshot" in records.columns else scores
    raw = no_scores()
    if feedback is not None:
        require(feedback, "Open WebUI feedback", ("data",), ("meta",))
        message = get(feedback["meta"], "message_id").astype(str)
        comment = get(feedback["data"], "comment")
        raw = make_scores(
            feedback,
            span=get(feedback["meta"], "chat_id").astype(str) + "/" + message,
            trace=pd.Series(None, index=feedback.index, dtype=object),
            name=pd.Series("rating", index=feedback.index),
            value=get(feedback["data"], "rating"),
            kind=pd.Series(USER, index=feedback.index),
            rater=pick(feedback, "user_id"),
            timestamp=pick(feedback, "updated_at", "created_at"),
            comment=comment.where(comment.astype(bool), get(feedback["data"], "reason")),
            metadata=feedback["meta"],
        )
    answers: list[dict[str, Any]] = []
    ratings: list[dict[str, Any]] = []
    if feedback is records:
        rated = set(raw["id"])
        for snapshot, meta, user in zip(
            records["snapshot"], records["meta"], pick(records, "user_id"), strict=True
        ):
            chat = parse_json(snapshot) or {}
            turns = _chat_answers(chat, str(parse_json(meta).get("chat_id")), user)
            answers += [turn for turn in turns if turn["id"] in rated]
    else:
        for chat in records.to_dict("records"):
            answers += _chat_answers({"chat": chat}, str(chat.get("id")), chat.get("user_id"))
    for answer in answers:
        rating = answer.pop("rating")
        if feedback is None and rating is not None:
            ratings.append({"id": answer["id"], "value": rating})
    if ratings:
        raw = pd.DataFrame(ratings, columns=SCORE_COLUMNS).assign(name="rating", kind=USER)
    table = pd.DataFrame(answers)
    if table.empty:
        raise FileFormatError("The Open WebUI chats hold no answer by an assistant.")
    table = table.drop_duplicates("id", keep="last", ignore_index=True)
    known = raw["id"].isin(table["id"])
    return Export(table, raw.loc[known, SCORE_COLUMNS], no_marks(), n_unmatched=int((~known).sum()))


def _chat_answers(holder: Mapping[str, Any], chat_id: str, user: Any) -> list[dict[str, Any]]:
    """Return each assistant message of a chat, with the messages before it."""
    history: Any = holder
    while isinstance(history, Mapping) and "history" not in history:
        history = history.get("chat")
    if not isinstance(history, Mapping):
        raise FileFormatError(
            f"The Open WebUI chat {chat_id!r} has no message history: export the chats with it."
        )
    messages = (history["history"] or {}).get("messages") or {}
    if is_sequence(messages):
        messages = {message["id"]: message for message in messages}
    answers = []
    for key, message in messages.items():
        if message.get("role") != "assistant":
            continue
        path: list[dict[str, str]] = []
        seen = {key}
        parent = message.get("parentId")
        while parent in messages and parent not in seen:
            seen.add(parent)
            if (turn := as_message(messages[parent])) is not None:
                path.insert(0, turn)
            parent = messages[parent].get("parentId")
        answers.append(
            {
                "id": f"{chat_id}/{key}",
                "prompt": simplify_prompt(path) if path else "",
                "completion": content_text(message.get("content")),
                "user": user,
                "model": message.get("model"),
                "timestamp": message.get("timestamp"),
                "rating": (message.get("annotation") or {}).get("rating"),
            }
        )
    return answers


READERS: dict[str, Callable[[pd.DataFrame, pd.DataFrame | None], Export]] = {
    "langfuse": read_langfuse,
    "langsmith": read_langsmith,
    "phoenix": read_phoenix,
    "otel": read_otel,
    "open-webui": read_open_webui,
}
