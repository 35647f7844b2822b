"""LangSmith's API on loopback, with answers made by the classes of its SDK."""

import datetime as dt
import json
import uuid

import pytest

from skcausalrm.datasets import load_feedback, pull_feedback
from skcausalrm.exceptions import FileFormatError, InvalidInputError

langsmith = pytest.importorskip("langsmith", reason="the extra langsmith is not installed")
pytest.importorskip("langsmith.utils")
pytest.importorskip("langsmith.schemas")
SECRET = "lsv2_very_secret"
PROJECT = str(uuid.UUID(int=7))
START = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)


def run_id(number):
    return str(uuid.UUID(int=1000 + number))


def runs(n):
    """Make n root runs, one a minute; every fourth has feedback."""
    from langsmith.types.run import Run

    return [
        Run(
            id=run_id(number),
            trace_id=run_id(number),
            name="chat",
            run_type="LLM",
            start_time=START + dt.timedelta(minutes=number),
            end_time=START + dt.timedelta(minutes=number, seconds=2),
            inputs={"question": f"Question {number}?"},
            outputs={"output": f"Answer {number}."},
            extra={"metadata": {"user_id": f"u{number % 5}"}},
            thread_id=f"t{number}",
            is_root=True,
            tags=[],
            feedback_stats={} if number % 4 else {"user_score": {"n": 1, "avg": 1.0}},
        ).model_dump(mode="json", exclude_none=True)
        for number in range(n)
    ]


@pytest.fixture
def server(serve, monkeypatch):
    every = runs(230)

    def sessions(_, query, __):
        known = query.get("name") == ["support"]
        project = {"id": PROJECT, "tenant_id": PROJECT, "reference_dataset_id": None}
        return [project | {"name": "support", "start_time": START.isoformat()}] if known else []

    def query(_, __, body):
        assert body["project_ids"] == [PROJECT]
        bound = dt.datetime.fromisoformat(body["min_start_time"])
        chosen = [run for run in every if dt.datetime.fromisoformat(run["start_time"]) >= bound]
        start = int(body.get("cursor") or 0)
        end = start + body["page_size"]
        following = str(end) if end < len(chosen) else None
        return {"items": chosen[start:end], "next_cursor": following}

    def feedback(_, query, __):
        ids = query["run"]
        offset = int(query.get("offset", ["0"])[0])
        given = [
            langsmith.schemas.Feedback(
                id=uuid.UUID(int=9000 + int(uuid.UUID(one).int)),
                run_id=one,
                trace_id=one,
                key="user_score",
                score=float(uuid.UUID(one).int % 8 > 0),
                feedback_source={"type": "api"},
                created_at=START,
                modified_at=START,
            )
            for one in ids
        ]
        return [json.loads(item.model_dump_json()) for item in given][offset:]

    server = serve(
        {"/sessions": sessions, "/api/v2/runs/query": query, "/feedback": feedback}, SECRET
    )
    monkeypatch.setenv("LANGSMITH_ENDPOINT", server.url)
    monkeypatch.setenv("LANGSMITH_API_KEY", SECRET)
    langsmith.utils.get_env_var.cache_clear()
    yield server
    langsmith.utils.get_env_var.cache_clear()


def test_runs_and_feedback_become_one_file(server, tmp_path):
    out = tmp_path / "logs.parquet"
    logs = pull_feedback("langsmith", out, project="support")
    assert len(logs) == 230
    assert logs["feedback"].notna().sum() == 58
    row = logs[logs["completion"] == "Answer 12."].iloc[0]
    assert (row["prompt"], row["feedback"], row["user"]) == ("Question 12?", 1, "u2")
    assert load_feedback(out)["feedback"].equals(logs["feedback"])
    # Runs of all days, and feedback of the runs that have some.
    _, _, body = next(asked for asked in server.asked if asked[0] == "/api/v2/runs/query")
    assert body["min_start_time"] < "2021"
    assert sum(len(query["run"]) for path, query, _ in server.asked if path == "/feedback") == 58


def test_a_stopped_pull_continues_without_a_page_twice(server, tmp_path):
    server.fail_after = 3  # the project and two pages of runs
    with pytest.raises(ConnectionError, match="status 400"):
        pull_feedback("langsmith", tmp_path / "logs.parquet", project="support")
    server.fail_after = None
    assert len(pull_feedback("langsmith", tmp_path / "logs.parquet", project="support")) == 230
    pages = [body.get("cursor") for path, _, body in server.asked if path == "/api/v2/runs/query"]
    assert pages == [None, "100", "200"]


def test_since_is_passed_to_the_server(server, tmp_path):
    with pytest.raises(FileFormatError, match="no answers in the project 'support' since"):
        pull_feedback("langsmith", tmp_path / "a.parquet", project="support", since="2026-11-02")
    logs = pull_feedback(
        "langsmith", tmp_path / "b.parquet", project="support", since="2026-11-01T03:00:00+00:00"
    )
    assert len(logs) == 50


def test_an_unknown_project_and_refused_keys_are_typed(server, tmp_path, monkeypatch):
    with pytest.raises(InvalidInputError, match="has no project 'none'"):
        pull_feedback("langsmith", tmp_path / "a.parquet", project="none")
    server.secret = "another"
    with pytest.raises(PermissionError, match="set LANGSMITH_API_KEY"):
        pull_feedback("langsmith", tmp_path / "b.parquet", project="support")
