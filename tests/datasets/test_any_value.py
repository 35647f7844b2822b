"""Any JSON value in any field loads, is left out and counted, or is a typed error.

``make fuzz`` tries 5,000 examples of each test.
"""

import warnings

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skcausalrm.datasets import load_feedback
from skcausalrm.exceptions import FeedbackError, FileFormatError, InvalidInputError

TYPED = (FeedbackError, FileFormatError, InvalidInputError)
MESSAGES = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system", "tool", "ai", ""])},
    optional={
        "content": st.none() | st.text(max_size=5) | st.lists(st.text(max_size=3), max_size=2)
    },
)
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["1", "-1", "0", "thumbs_up", "[]", "{}", "[1]", '"x"', "2026-01", "\ud800"])
)  # fmt: skip
VALUES = st.recursive(
    SCALARS | MESSAGES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["input", "output", "messages", "role", "content", "text", "args", "x"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)
FIELDS = [
    *("prompt", "completion", "feedback", "verified", "asked", "judge_score", "group", "user"),
    *("conversation", "turn", "model", "timestamp", "comment", "tags", "id", "copied", "latency"),
]
FULL = {
    "prompt": "q", "completion": "a", "feedback": None, "verified": 1, "asked": False,
    "judge_score": 0.5, "group": "g", "user": "u", "conversation": "c", "turn": 1, "model": "m",
    "timestamp": 1_777_885_200, "comment": "c", "tags": ["t"], "id": "i", "copied": True,
    "latency": 0.5,
}  # fmt: skip


def load(rows, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load_feedback(rows, **options)


def check(rows, **options):
    try:
        logs = load(rows, **options)
    except TYPED:
        return
    facts = logs.attrs["load_feedback"]
    n_left_out = sum(entry["count"] for entry in facts["left_out"].values())
    assert len(logs) + n_left_out == len(rows)
    assert logs["feedback"].isin([0, 1]).sum() + logs["feedback"].isna().sum() == len(logs)
    assert logs["completion"].map(bool).all()


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(FIELDS), st.lists(VALUES, min_size=1, max_size=3))
def test_plain_tables(field, values):
    good = [{**FULL, "id": f"g{k}", "group": f"g{k}"} for k in range(3)]
    check([*good, *({**FULL, field: value} for value in values)])


@settings(deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=3))
def test_chats(values):
    chat = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    check([{"messages": value, "feedback": None} for value in (chat, *values)])


def phoenix(key):
    return {
        "context": {"span_id": key, "trace_id": f"t{key}"}, "parent_id": None, "span_kind": "LLM",
        "start_time": "2026-01-01T00:00:00Z", "end_time": "2026-01-01T00:00:01Z",
        "attributes": {
            "input.value": '{"messages": [{"role": "user", "content": "q"}]}',
            "input.mime_type": "application/json", "output.value": "a", "session.id": "s",
            "llm.token_count.prompt": 3, "metadata": {"x": 1}, "tag.tags": ["t"],
        },
    }  # fmt: skip


def otel(key):
    def pair(name, value):
        return {"key": name, "value": {"stringValue": value}}

    attributes = [
        pair("gen_ai.input.messages", '[{"role": "user", "parts": [{"type": "text"}]}]'),
        pair("gen_ai.output.messages", '[{"role": "assistant", "parts": [{"content": "a"}]}]'),
        pair("gen_ai.response.id", f"r{key}"),
    ]
    event = {"name": "gen_ai.choice", "attributes": [pair("message", "a")], "timeUnixNano": "1"}
    span = {"spanId": key, "traceId": key, "attributes": attributes, "events": [event],
            "startTimeUnixNano": "1777885200000000000"}  # fmt: skip
    return {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}


def open_webui(key):
    messages = {
        "u": {"id": "u", "role": "user", "content": "q", "parentId": None},
        "a": {"id": "a", "role": "assistant", "content": "a", "parentId": "u", "model": "m",
              "timestamp": 1_777_885_200, "annotation": {"rating": 1}, "usage": {}},
    }  # fmt: skip
    return {"id": key, "user_id": "u", "chat": {"history": {"messages": messages}}}


def mlflow(key):
    span = {"span_id": f"s{key}", "parent_span_id": None, "attributes": {
        "mlflow.spanInputs": '{"question": "q"}', "mlflow.spanOutputs": '"a"'}}  # fmt: skip
    assessment = {"assessment_name": "thumbs", "feedback": {"value": True},
                  "source": {"source_type": "HUMAN", "source_id": "u"}}  # fmt: skip
    info = {"trace_id": key, "request_time": "2026-01-01T00:00:00Z", "trace_metadata": {"a": "b"},
            "assessments": [assessment], "execution_duration_ms": 5}  # fmt: skip
    return {"info": info, "data": {"spans": [span]}}


SCORE = {"name": "thumbs", "value": 1, "source": "API", "timestamp": "2026-01-01T00:00:00Z"}
TOOLS = {
    "langfuse": lambda key: {
        "id": key, "input": {"question": "q"}, "output": "a", "bookmarked": False, "userId": "u",
        "sessionId": "s", "timestamp": "2026-01-01", "tags": [], "scores": [{**SCORE, "id": "x"}],
        "observations": [{"id": f"o{key}", "type": "GENERATION", "input": "q", "output": "a"}],
    },
    "langsmith": lambda key: {
        "id": key, "trace_id": key, "run_type": "chain", "inputs": {"messages": [["user", "q"]]},
        "outputs": {"output": "a"}, "extra": {"metadata": {"user_id": "u"}}, "tags": [],
        "parent_run_ids": [], "start_time": "2026-01-01",
        "child_runs": [{"id": f"c{key}", "run_type": "llm"}],
        "feedback_stats": {"thumbs": {"n": 3, "avg": 0.7, "values": {"up": 2}, "sources": ["api"]}},
    },
    "phoenix": phoenix,
    "otel": otel,
    "open-webui": open_webui,
    "mlflow": mlflow,
    "opik": lambda key: {
        "id": key, "input": {"q": "q"}, "output": {"a": "a"}, "thread_id": "t",
        "usage": {}, "feedback_scores": [{"name": "thumbs", "value": 1, "source": "sdk",
                             "value_by_author": {"ann": {"value": 1, "source": "sdk"}}}],
        "spans": [{"id": f"s{key}", "type": "llm", "input": {"q": "q"}, "output": {"a": "a"}}],
    },
    "librechat": lambda key: {
        "messageId": key, "parentMessageId": "", "isCreatedByUser": False, "text": "a",
        "conversationId": "c", "createdAt": {"$date": "2026-01-01"}, "error": False,
        "feedback": {"rating": "thumbsUp", "tag": {"key": "x"}},
    },
    "chainlit": lambda key: {
        "id": key, "type": "assistant_message", "output": "a", "threadId": "t", "parentId": None,
        "createdAt": "2026-01-01", "feedback": {"value": 1, "comment": None}, "isError": False,
    },
    "dify": lambda key: {
        "id": key, "query": "q", "answer": "a", "conversation_id": "c", "message_files": [],
        "feedback": {"rating": "like"}, "created_at": 1_777_885_200, "error": None,
    },
    "weave": lambda key: {
        "id": key, "op_name": "x", "inputs": {"question": "q"}, "output": "a", "trace_id": key,
        "summary": {"weave": {"feedback": [
            {"feedback_type": "wandb.reaction.1", "payload": {"emoji": "👍"}}]}},
    },
    "argilla": lambda key: {
        "id": key, "fields": {"prompt": "q", "response": "a"}, "metadata": {},
        "responses": {"ok": [{"value": "yes", "user_id": "u"}]},
    },
    "label-studio": lambda key: {
        "id": key, "data": {"prompt": "q", "response": "a"}, "annotations": [
            {"result": [{"from_name": "ok", "value": {"choices": ["Good"]}}], "completed_by": 1}],
    },
    "oasst": lambda key: {
        "message_id": key, "parent_id": None, "message_tree_id": "t", "role": "assistant",
        "text": "a", "labels": {"quality": {"value": 1.0}},
    },
    # Other forms of the same tools.
    "argilla flat": lambda key: {
        "id": key, "prompt": "q", "response": "a", "ok.responses": ["yes"],
        "ok.responses.users": ["u"], "ok.responses.status": ["submitted"], "ok.suggestion": 0.5,
    },
    "label-studio rows": lambda key: {
        "id": key, "prompt": "q", "response": "a", "ok": "Good", "annotator": 1,
        "annotation_id": 1, "created_at": "2026-01-01", "updated_at": "2026-01-01", "lead_time": 1,
    },
    "oasst trees": lambda key: {"message_tree_id": key, "prompt": {
        "message_id": f"{key}q", "role": "prompter", "text": "q", "replies": [
            {"message_id": f"{key}a", "role": "assistant", "text": "a", "rank": 0, "replies": [],
             "emojis": {"+1": 2}, "labels": {"quality": {"value": 1.0}}}]}},
    "dify console": lambda key: {
        "id": key, "query": "", "inputs": {"x": "q"}, "answer": "a", "conversation_id": "c",
        "parent_message_id": None, "provider_response_latency": 0.5, "feedbacks": [
            {"rating": "like", "from_source": "admin", "from_account": {"id": "u"}}],
    },
    "chainlit threads": lambda key: {
        "id": key, "userIdentifier": "u", "steps": [
            {"id": f"{key}q", "type": "user_message", "output": "q", "start": "2026-01-01"},
            {"id": f"{key}a", "type": "assistant_message", "output": "a", "parentId": f"{key}q",
             "feedback": {"forId": f"{key}q", "value": 1}, "start": "2026-01-02"}],
    },
}  # fmt: skip


def replaced(record, path, value):
    """Return the record with the value at a place that the path chooses, counted from the top."""
    if not path or not isinstance(record, dict | list) or not record:
        return value
    keys = list(record) if isinstance(record, dict) else range(len(record))
    key = keys[path[0] % len(keys)]
    copy = record.copy()
    copy[key] = replaced(record[key], path[1:], value)
    return copy


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(TOOLS)), st.lists(st.integers(0, 20), min_size=1, max_size=6), VALUES)
def test_exports_of_tools(tool, path, value):
    make = TOOLS[tool]
    rows = [make("k1"), make("k2"), replaced(make("k3"), path, value)]
    try:
        logs = load(rows, format=tool.split()[0])
    except TYPED:
        return
    assert logs["completion"].map(lambda text: isinstance(text, str) and bool(text.strip())).all()
    assert len(logs) >= 1
