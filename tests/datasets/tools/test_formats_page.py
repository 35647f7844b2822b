"""The Python blocks of docs/feedback_formats.md on single tools run on exports made here."""

import inspect
import json
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pandas as pd
import pytest

from skcausalrm.datasets import load_feedback

PAGE = Path(__file__).parents[3] / "docs" / "feedback_formats.md"
pytestmark = [
    pytest.mark.skipif(not PAGE.exists(), reason="docs are not in this distribution"),
    pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.SkcausalrmWarning"),
]


def phoenix(monkeypatch, folder):
    """Put a client in the place of Phoenix's, with the parameters of its version 3.5.0."""

    def get_spans_dataframe(
        *, query=None, start_time=None, end_time=None, limit=1000, root_spans_only=None,
        project_identifier=None, project_name=None, timeout=5,
    ):  # fmt: skip
        row = {
            "context.span_id": "s", "context.trace_id": "t", "parent_id": None, "span_kind": "LLM",
            "attributes.input.value": "Soup?", "attributes.output.value": "Yes.",
        }  # fmt: skip
        return pd.DataFrame([row]).set_index("context.span_id", drop=False)

    def get_span_annotations_dataframe(
        *, spans_dataframe=None, span_ids=None, spans=None, project_identifier="default",
        include_annotation_names=None, exclude_annotation_names=None, limit=1000, timeout=5,
    ):  # fmt: skip
        row = {"span_id": "s", "annotation_name": "thumbs", "annotator_kind": "HUMAN",
               "result.score": 1, "result.label": None, "metadata": {}}  # fmt: skip
        return pd.DataFrame([row]).set_index("span_id")

    spans = SimpleNamespace(
        get_spans_dataframe=get_spans_dataframe,
        get_span_annotations_dataframe=get_span_annotations_dataframe,
    )
    module = ModuleType("phoenix.client")
    module.Client = lambda: SimpleNamespace(spans=spans)
    monkeypatch.setitem(sys.modules, "phoenix", ModuleType("phoenix"))
    monkeypatch.setitem(sys.modules, "phoenix.client", module)
    return {}


def attribute(key, value):
    return {"key": key, "value": value}


def opentelemetry(monkeypatch, folder):
    def chat(role, text):
        parts = [{"type": "text", "content": text}]
        return {"stringValue": json.dumps([{"role": role, "parts": parts}])}

    span = {
        "traceId": "0" * 31 + "1", "spanId": "0" * 15 + "1", "attributes": [
            attribute("gen_ai.input.messages", chat("user", "Soup?")),
            attribute("gen_ai.output.messages", chat("assistant", "Yes.")),
        ],
    }  # fmt: skip
    event = {
        "traceId": span["traceId"], "spanId": span["spanId"],
        "eventName": "gen_ai.evaluation.result", "attributes": [
            attribute("gen_ai.evaluation.name", {"stringValue": "thumbs"}),
            attribute("gen_ai.evaluation.score.value", {"doubleValue": 1}),
        ],
    }  # fmt: skip
    traces = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    logs = {"resourceLogs": [{"scopeLogs": [{"logRecords": [event]}]}]}
    (folder / "traces.jsonl").write_text(json.dumps(traces))
    (folder / "logs.jsonl").write_text(json.dumps(logs))
    return {}


class Records(list):
    """Records of an Argilla data set."""

    def __call__(self):
        return self

    def to_list(self, flatten):
        one = {
            "id": "a",
            "prompt": "Soup?",
            "response": "Yes.",
            "correct.responses": ["yes"],
            "correct.responses.users": ["u"],
            "correct.responses.status": ["submitted"],
        }
        return [one] if flatten else list(self)  # fmt: skip


def annotation(monkeypatch, folder):
    fields = {"prompt": "Soup?", "response": "Yes."}
    responses = {"correct": [{"value": "yes", "user_id": "u"}]}
    result = [{"from_name": "quality", "value": {"choices": ["Good"]}}]
    task = {"id": 1, "data": fields, "annotations": [{"completed_by": 1, "result": result}]}
    (folder / "export.json").write_text(json.dumps([task]))
    records = Records([{"id": "a", "fields": fields, "responses": responses, "metadata": {}}])
    return {"dataset": SimpleNamespace(records=records)}


def chainlit(monkeypatch, folder):
    steps = [
        {"id": "u", "type": "user_message", "output": "Soup?", "createdAt": "2026-01-01"},
        {"id": "a", "type": "assistant_message", "output": "Yes.", "createdAt": "2026-01-02"},
    ]
    steps = [{**step, "threadId": "t", "parentId": None, "isError": False} for step in steps]
    thread = {"id": "t", "createdAt": "2026-01-01", "name": "n", "userId": 1,
              "userIdentifier": "ann"}  # fmt: skip
    feedback = {"id": "f", "forId": "a", "threadId": "t", "value": 1, "comment": None}
    for name, row in (("steps", steps), ("threads", [thread]), ("feedbacks", [feedback])):
        pd.DataFrame(row).to_csv(folder / f"{name}.csv", index=False)
    steps[1]["feedback"] = feedback
    return {"threads": [{**thread, "steps": steps}]}


def dify(monkeypatch, folder):
    row = {"id": "a", "conversation_id": "c", "query": "Soup?", "answer": "Yes.",
           "provider_response_latency": 1, "created_at": 1_767_323_045}  # fmt: skip
    page = {"data": [{**row, "message_files": [], "feedback": {"rating": "like"}}]}
    (folder / "messages.json").write_text(json.dumps(page))
    pd.DataFrame([row]).to_csv(folder / "messages.csv", index=False)
    rating = {"id": "f", "message_id": "a", "rating": "like", "from_source": "user"}
    pd.DataFrame([rating]).to_csv(folder / "message_feedbacks.csv", index=False)
    return {}


def openassistant(monkeypatch, folder):
    common = {"message_tree_id": "u", "user_id": "ann"}
    rows = [
        {**common, "message_id": "u", "parent_id": None, "role": "prompter", "text": "Soup?"},
        {**common, "message_id": "a", "parent_id": "u", "role": "assistant", "text": "Yes.",
         "labels": {"name": ["quality"], "value": [0.75]}},
    ]  # fmt: skip
    (folder / "oasst.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return {}


def weave(monkeypatch, folder):
    reaction = {"feedback_type": "wandb.reaction.1", "payload": {"emoji": "👍"}}
    call = {"id": "a", "op_name": "chat", "trace_id": "t", "inputs": {"question": "Soup?"},
            "output": "Yes."}  # fmt: skip

    def get_calls(include_feedback=False):
        found = [reaction] if include_feedback else []
        return iter([{**call, "summary": {"weave": {"feedback": found}}}])

    return {"client": SimpleNamespace(get_calls=get_calls)}


MAKERS = {
    "Phoenix": phoenix, "OpenTelemetry": opentelemetry, "Argilla and Label Studio": annotation,
    "Chainlit": chainlit, "Dify": dify, "OpenAssistant": openassistant, "Weave": weave,
}  # fmt: skip


def python_blocks():
    """Return the plain Python block of each section."""
    blocks = {}
    for section in re.split(r"^#+ ", PAGE.read_text(), flags=re.MULTILINE)[1:]:
        found = re.findall(r"^```python\n(.*?)^```$", section, flags=re.MULTILINE | re.DOTALL)
        plain = [block for block in found if not block.startswith(">>> ")]
        if plain:
            blocks[section.partition("\n")[0]] = "\n".join(plain)
    return blocks


def test_every_section_is_run():
    assert set(python_blocks()) == set(MAKERS)


@pytest.mark.parametrize("section", MAKERS)
def test_section(section, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    loaded = []

    def load(*args, **options):
        loaded.append(load_feedback(*args, **options))
        return loaded[-1]

    names = {**MAKERS[section](monkeypatch, tmp_path), "load_feedback": load}
    exec(compile(python_blocks()[section], str(PAGE), "exec"), names)
    assert loaded
    for logs in loaded:
        assert logs[["prompt", "completion"]].to_numpy().tolist() == [["Soup?", "Yes."]]
        verdict = logs["verified"] if "verified" in logs else logs["feedback"]
        assert verdict.tolist() == [1]


def test_phoenix_client_has_these_parameters(monkeypatch, tmp_path):
    spans = pytest.importorskip("phoenix.client.resources.spans").Spans
    phoenix(monkeypatch, tmp_path)
    ours = sys.modules["phoenix.client"].Client().spans
    for name, method in vars(ours).items():
        own = set(inspect.signature(getattr(spans, name)).parameters)
        assert set(inspect.signature(method).parameters) <= own
