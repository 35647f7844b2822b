"""``skcausalrm pull`` with a Phoenix API of two pages on loopback."""

import json

import pytest

from skcausalrm.datasets import load_feedback

pytest.importorskip("phoenix.client", reason="the extra phoenix is not installed")
SECRET = "px-very-secret"


def span(number):
    return {
        "id": f"S{number}",
        "name": "chat",
        "context": {"trace_id": f"{number:032x}", "span_id": f"{number:016x}"},
        "span_kind": "CHAIN",
        "parent_id": None,
        "start_time": f"2026-11-{number + 1:02d}T09:00:00+00:00",
        "end_time": f"2026-11-{number + 1:02d}T09:00:01+00:00",
        "status_code": "OK",
        "attributes": {
            "input.value": f"Question {number}?",
            "output.value": f"Answer {number}.",
            "session.id": f"s{number}",
        },
    }


def annotation(span_id, name, kind, score):
    return {
        "id": f"{name}-{span_id}",
        "span_id": span_id,
        "name": name,
        "annotator_kind": kind,
        "source": "API",
        "created_at": "2026-11-26T21:40:53+00:00",
        "updated_at": "2026-11-26T21:40:53+00:00",
        "metadata": {},
        "identifier": "",
        "result": {"score": score, "label": None, "explanation": None},
    }


@pytest.fixture
def server(serve, monkeypatch, tmp_path):
    every = [span(number) for number in range(20)]
    project = "/v1/projects/shop%20floor/"

    def spans(_, query, __):
        first = query.get("start_time", [""])[0]
        chosen = [one for one in every if one["start_time"] >= first]
        start = int(query.get("cursor", ["0"])[0])
        following = str(start + 12) if start + 12 < len(chosen) else None
        return {"data": chosen[start : start + 12], "next_cursor": following}

    def annotations(_, query, __):
        ids = query["span_ids"]
        rated = [annotation(one, "user feedback", "HUMAN", int(one, 16) % 2) for one in ids[::2]]
        judged = [annotation(one, "correct", "HUMAN", 1) for one in ids[:3]]
        return {"data": rated + judged, "next_cursor": None}

    def nothing(*_):
        return {"data": [], "next_cursor": None}

    server = serve(
        {
            f"{project}spans": spans,
            f"{project}span_annotations": annotations,
            f"{project}trace_annotations": nothing,
            f"{project}session_annotations": nothing,
        },
        SECRET,
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PHOENIX_COLLECTOR_ENDPOINT", server.url)
    monkeypatch.setenv("PHOENIX_API_KEY", SECRET)
    return server


ARGUMENTS = [
    *("pull", "phoenix", "--project", "shop floor", "--out", "logs.parquet"),
    *("--feedback-name", "user feedback", "--verified", "correct"),
]


def test_json_summary(server, run):
    done = run(*ARGUMENTS, "--json")
    assert done.exit_code == 0, done.stderr
    facts = json.loads(done.stdout)
    expected = {"rows": 20, "rated": 10, "verified": 3, "out": "logs.parquet"}
    assert {key: facts[key] for key in expected} == expected
    assert facts["period"] == ["2026-11-01T09:00:00+00:00", "2026-11-20T09:00:00+00:00"]
    assert "spans: 12" in done.stderr
    logs = load_feedback("logs.parquet")
    assert (len(logs), int(logs["feedback"].notna().sum())) == (20, 10)


def test_table_since_and_overwrite(server, run):
    assert run(*ARGUMENTS).exit_code == 0
    refused = run(*ARGUMENTS, "--since", "2026-11-11")
    assert refused.exit_code == 2
    assert "--overwrite" in refused.stderr
    done = run(*ARGUMENTS, "--since", "2026-11-11", "--overwrite")
    assert done.exit_code == 0, done.stderr
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "rows 10" in lines
    assert "period 2026-11-11 to 2026-11-20" in lines
    assert len(load_feedback("logs.parquet")) == 10


def test_pages_that_fail_to_load_are_loaded_by_other_options(server, run):
    first_page = server.routes["/v1/projects/shop%20floor/spans"]("", {}, None)["data"]
    for number, answer in enumerate(first_page):
        said = {"note": "n", "said": f"Answer {number}."}
        answer["attributes"]["output.value"] = json.dumps(said)
        answer["attributes"]["output.mime_type"] = "application/json"
    stopped = run(*ARGUMENTS, "--strict")
    assert stopped.exit_code == 2
    assert "The fetched pages stay in logs.parquet.part" in stopped.stderr
    server.asked.clear()
    done = run(*ARGUMENTS, "--completion-key", "said", "--labels", "great=1")
    assert done.exit_code == 0, done.stderr
    assert server.asked == []
    assert "Answer 3." in set(load_feedback("logs.parquet")["completion"])


def test_errors_are_one_sentence_without_the_key(server, run, monkeypatch):
    unknown = run(*(argument.replace("shop floor", "none") for argument in ARGUMENTS))
    assert (unknown.exit_code, len(unknown.stderr.splitlines())) == (2, 1)
    assert "has no project 'none'" in unknown.stderr
    server.secret = "another"
    refused = run(*ARGUMENTS)
    assert refused.exit_code == 2
    assert "set PHOENIX_API_KEY" in refused.stderr
    monkeypatch.setenv("PHOENIX_COLLECTOR_ENDPOINT", "http://127.0.0.1:1")
    absent = run(*ARGUMENTS[:-6], "--out", "b.parquet")
    assert absent.exit_code == 1
    assert "check PHOENIX_COLLECTOR_ENDPOINT" in absent.stderr
    assert SECRET not in unknown.stderr + refused.stderr + absent.stderr
    assert run("pull", "phenix", "--out", "b.parquet").exit_code == 2
