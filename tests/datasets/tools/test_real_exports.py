"""Real exports of tools load to the table that their README describes, or are refused with a cure.

The files are not part of the project; without them the tests of `test_made_exports.py` remain.
"""

import warnings
from pathlib import Path

import numpy as np
import pytest

from skcausalrm.datasets import load_feedback
from skcausalrm.exceptions import FileFormatError

FOLDER = Path(__file__).resolve().parents[4] / "shared" / "data" / "exports"
pytestmark = [
    pytest.mark.skipif(not FOLDER.is_dir(), reason="the real exports are not on this machine"),
    pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.SkcausalrmWarning"),
]


def load(source, scores=None, **options):
    files = [FOLDER / name for name in source.split(" + ")]
    return load_feedback(
        files if len(files) > 1 else files[0],
        scores=None if scores is None else FOLDER / scores,
        **options,
    )


def facts(logs):
    """Return format, rows, rated, liked, groups and users."""
    rated = logs["feedback"].notna()
    users = logs["user"].nunique() if "user" in logs else 0
    return (
        logs.attrs["load_feedback"]["format"],
        *(len(logs), int(rated.sum()), int(logs["feedback"].sum())),
        *(logs["group"].nunique(), users),
    )


LANGFUSE, LANGSMITH = ("langfuse", 12, 6, 4, 4, 3), ("langsmith", 12, 6, 4, 7, 3)
PHOENIX, OTEL = ("phoenix", 16, 6, 3, 10, 5), ("otel", 9, 3, 1, 6, 2)
THUMBS = {"feedback_name": "thumbs"}
LOADED = [
    *(
        (f"langfuse/sdk3_traces{form}.json", f"langfuse/sdk3_scores_v2{form}.json", {}, LANGFUSE)
        for form in ("", "_model_dump", "_python_dict")
    ),
    *((f"langfuse/sdk3_trace_full{form}.json", None, {}, LANGFUSE) for form in ("", "_model_dump")),
    *(
        (
            f"langfuse/sdk5_observations_v2{form}.json",
            f"langfuse/sdk5_scores_v3{form}.json",
            {},
            LANGFUSE,
        )
        for form in ("", "_model_dump")
    ),
    *((f"langfuse/ui_traces.{kind}", None, {}, LANGFUSE) for kind in ("csv", "json", "jsonl")),
    ("langfuse/ui_traces.csv", "langfuse/ui_scores.csv", {}, LANGFUSE),
    ("langfuse/ui_traces.json", "langfuse/ui_scores.json", {}, LANGFUSE),
    *(
        (f"langsmith/runs{runs}.json", f"langsmith/feedback{scores}.json", {}, LANGSMITH)
        for runs in ("_api", "_model_dump", "_v2_model_dump")
        for scores in ("_api", "_model_dump")
    ),
    *(
        (f"phoenix/{spans}", f"phoenix/{scores}", {}, PHOENIX)
        for spans, scores in (
            ("spans.csv", "annotations.csv"),
            ("spans_noindex.csv", "annotations.csv"),
            ("spans.json", "annotations.jsonl"),
            ("spans.jsonl", "annotations.jsonl"),
            ("spans_noindex.jsonl", "annotations.jsonl"),
            ("spans.parquet", "annotations.parquet"),
            ("client_get_spans.json", "client_get_span_annotations.json"),
            ("rest_spans.jsonl", "rest_annotations.jsonl"),
            ("rest_spans_page.json", "rest_annotations_page.json"),
            ("rest_otlp_page.json", "rest_annotations_page.json"),
        )
    ),
    *(
        (f"otel/{folder}/traces.jsonl", f"otel/{folder}/logs.jsonl", THUMBS, OTEL)
        for folder in (
            *("ollm_attrs", "otel_v2_event_only", "otel_v2_events", "otel_v2_span_only"),
            "otel_v2_tool",
        )
    ),
    ("otel/otel_v2_events/traces.jsonl + otel/otel_v2_events/logs.jsonl", None, THUMBS, OTEL),
    ("otel/ollm_old_0.47.5/traces.jsonl", None, {}, ("otel", 9, 0, 0, 6, 2)),
    ("otel/otel_v2_span_only/console_spans.json", None, {}, ("otel", 9, 0, 0, 6, 2)),
    *(
        (f"mlflow/{name}", None, {}, ("mlflow", 9, 2, 2, 4, 4))
        for name in ("traces_to_dict.jsonl", "search_traces.jsonl", "search_traces.csv")
    ),
    ("open_webui/chats_all_admin_db.json", None, {}, ("open-webui", 14, 6, 4, 8, 2)),
    *(
        ("open_webui/chats_all_admin_db.json", f"open_webui/{name}", {}, facts_)
        for name, facts_ in (
            ("feedbacks_export.json", ("open-webui", 14, 6, 4, 8, 2)),
            ("feedbacks_list_admin.json", ("open-webui", 14, 6, 4, 8, 2)),
            ("feedbacks_ui.csv", ("open-webui", 14, 6, 4, 8, 2)),
        )
    ),
    (
        *("open_webui/chats_all_user0.ndjson", "open_webui/feedbacks_user0.json", {}),
        ("open-webui", 8, 4, 3, 4, 1),
    ),
    ("open_webui/feedbacks_export.json", None, {}, ("open-webui", 6, 6, 4, 5, 2)),
    ("opik/search_traces.json", None, {}, ("opik", 8, 2, 2, 4, 0)),
    ("librechat/messages.jsonl", None, {}, ("librechat", 9, 6, 3, 6, 2)),
    ("argilla/records.json", None, {}, ("argilla", 6, 0, 0, 6, 0)),
    ("label_studio/export.json", None, {}, ("label-studio", 5, 0, 0, 5, 0)),
    ("dify/messages_api.json", None, {}, ("dify", 9, 6, 3, 6, 0)),
]


@pytest.mark.parametrize(
    ("source", "scores", "options", "expected"), LOADED, ids=[f"{s} {f}" for s, f, *_ in LOADED]
)
def test_loaded(source, scores, options, expected):
    logs = load(source, scores, **options)
    assert facts(logs) == expected
    assert logs["completion"].map(lambda text: isinstance(text, str) and bool(text.strip())).all()
    # No structure has become text.
    for text in logs["completion"]:
        assert not text.startswith(("{", "[", '"'))
    for prompt in logs["prompt"]:
        assert not (isinstance(prompt, str) and prompt.startswith(("{", "[", '"')))


REFUSED = [
    ("langfuse/sdk3_trace_full_python_dict.json", None, "printed form of an SDK's objects"),
    (
        *("langfuse/sdk5_observations_v2.json", "langfuse/sdk5_scores_v3_python_dict.json"),
        "printed form of an SDK's objects",
    ),
    ("phoenix/spans_noindex.csv", "phoenix/annotations_noindex.csv", "save them with the index"),
    ("phoenix/spans.jsonl", "phoenix/annotations_noindex.jsonl", "save them with the index"),
    ("phoenix/client_get_traces.json", None, "export the spans themselves"),
    ("otel/otel_v2_events/logs.jsonl", None, "pass the traces as source"),
    ("open_webui/chats_list_user0.json", None, "export the chats themselves"),
    ("open_webui/feedbacks_ui.csv", None, "pass the traces as source"),
    ("open_webui/feedbacks_user0.json", None, "pass the traces as source"),
    ("dify/feedback_export.csv", None, "export all messages by the API"),
    ("dify/feedback_export.json", None, "export all messages by the API"),
]


@pytest.mark.parametrize(("source", "scores", "cure"), REFUSED)
def test_refused_with_the_cure(source, scores, cure):
    with pytest.raises(FileFormatError, match=cure):
        load(source, scores)


def test_every_file_is_tried():
    named = {name for source, *_ in [*LOADED, *REFUSED] for name in source.split(" + ")}
    named |= {scores for _, scores, *_ in [*LOADED, *REFUSED] if scores}
    named |= {"phoenix/rest_trace_annotations_page.json"}
    named |= {"phoenix/rest_session_annotations_page.json"}
    files = {
        str(path.relative_to(FOLDER))
        for path in FOLDER.rglob("*.*")
        if path.is_file() and path.suffix not in (".md", ".py")
    }
    assert files - named == {"langfuse/sdk5_observations_v2_python_dict.json"}


def test_langfuse_in_detail():
    logs = load(
        *("langfuse/sdk5_observations_v2.json", "langfuse/sdk5_scores_v3.json"),
        verified_name="correct",
        asked_name="survey",
    )
    assert logs["prompt"][1] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Question 1?"},
    ]
    assert logs["completion"].tolist()[:2] == ["Answer 0.", "Answer 1."]
    assert logs["conversation"].tolist()[:4] == ["s-0", "s-0", "s-0", "s-1"]
    assert logs["turn"].tolist()[:4] == [1, 2, 3, 1]
    assert logs["model"].tolist()[:1] == ["tiny-a"]
    assert logs["asked"].tolist()[:3] == [False, True, False]
    assert logs["verified"].notna().sum() == 4
    assert logs["judge_score"].between(0, 1).all()
    assert str(logs["timestamp"][0]) == "2026-11-20 09:00:00+00:00"


def test_phoenix_in_detail():
    logs = load("phoenix/spans.parquet", "phoenix/annotations.parquet")
    left_out = logs.attrs["load_feedback"]["left_out"]
    assert left_out["no answer"]["count"] == 2  # a failed call and a tool call
    assert logs["conversation"].nunique() == 6
    assert (logs["prompt_tokens"].dropna() > 0).all()
    trace = load("phoenix/rest_spans_page.json", "phoenix/rest_trace_annotations_page.json")
    assert (trace["feedback"].notna().sum(), trace["feedback"].sum()) == (1, 1)
    session = load("phoenix/rest_spans_page.json", "phoenix/rest_session_annotations_page.json")
    assert session.attrs["load_feedback"]["n_unmatched"] == 1


def test_langsmith_in_detail():
    logs = load("langsmith/runs_v2_model_dump.json", "langsmith/feedback_api.json")
    assert len(logs.index) == 12  # the model's calls below are no answers
    odd = logs[logs["prompt"].map(lambda prompt: "Odd keys" in str(prompt))]
    assert odd["completion"].str.contains("Odd keys").all()
    assert len(odd) == 2
    history = logs["prompt"].map(lambda prompt: isinstance(prompt, list))
    assert history.sum() == 4
    assert logs["prompt"][1][-1] == {"role": "user", "content": "Question 1?"}


@pytest.mark.parametrize("folder", ["ollm_attrs", "otel_v2_events", "otel_v2_event_only"])
def test_opentelemetry_in_detail(folder):
    logs = load(f"otel/{folder}/traces.jsonl", f"otel/{folder}/logs.jsonl", **THUMBS)
    again = load("otel/ollm_old_0.47.5/traces.jsonl")
    assert logs["prompt"].map(str).tolist() == again["prompt"].map(str).tolist()
    assert logs["user"].tolist()[0] == "u-0"  # recorded on the request above the call
    assert np.isfinite(logs["latency"].astype(float)).all()


def test_open_webui_in_detail():
    logs = load("open_webui/chats_all_admin_db.json", "open_webui/feedbacks_export.json")
    assert logs["comment"].notna().any()
    assert logs["tags"].notna().any()
    assert logs["next_message"].dropna().str.startswith("And then").sum() == 4
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        chats = load("open_webui/chats_all_admin_db.json")
    assert chats["feedback"].equals(logs["feedback"])
