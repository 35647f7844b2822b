"""Langfuse's API on loopback, with answers made by the classes of its SDK."""

import datetime as dt
import json

import pytest

from skcausalrm.datasets import load_feedback, pull_feedback
from skcausalrm.exceptions import InvalidInputError, UnusedParameterError

api = pytest.importorskip("langfuse.api", reason="the extra langfuse is not installed")
SECRET = "sk-lf-very-secret"
START = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)


def observations(n):
    """Make n root observations, one a minute."""
    return [
        api.ObservationV2(
            id=f"{number:016x}",
            trace_id=f"{number:032x}",
            start_time=START + dt.timedelta(minutes=number),
            end_time=START + dt.timedelta(minutes=number, seconds=2),
            project_id="p1",
            parent_observation_id=None,
            type="SPAN",
            is_root_observation=True,
            name="chat",
            user_id=f"u{number % 5}",
            session_id=f"s{number}",
            input=f"Question {number}?",
            output=f"Answer {number}.",
            tags=[],
        )
        for number in range(n)
    ]


def score(number, name, value, source):
    return api.ScoreV3_Boolean(
        id=f"{name}-{number}",
        project_id="p1",
        name=name,
        value=value,
        source=source,
        timestamp=START + dt.timedelta(minutes=number, seconds=30),
        environment="default",
        created_at=START,
        updated_at=START,
        subject={"kind": "trace", "id": f"{number:032x}"},
    )


def start_time(record):
    return dt.datetime.fromisoformat(record.get("startTime") or record["timestamp"])


def endpoint(records, parameter, size):
    """Return a route that pages through SDK objects as the server does."""
    records = [json.loads(record.json()) for record in records]

    def route(_, query, __):
        chosen = records
        if parameter in query:
            bound = dt.datetime.fromisoformat(query[parameter][0])
            chosen = [record for record in records if start_time(record) >= bound]
        start = int(query.get("cursor", ["0"])[0])
        meta = {"limit": size}
        if start + size < len(chosen):
            meta["cursor"] = str(start + size)
        return {"data": chosen[start : start + size], "meta": meta}

    return route


@pytest.fixture
def server(serve, monkeypatch):
    scores = [score(number, "thumbs", number % 3 > 0, "API") for number in range(0, 120, 4)]
    scores += [score(number, "correct", number % 2 > 0, "ANNOTATION") for number in range(5)]
    server = serve(
        {
            "/api/public/v2/observations": endpoint(observations(120), "fromStartTime", 25),
            "/api/public/v3/scores": endpoint(scores, "fromTimestamp", 10),
        }
    )
    monkeypatch.setenv("LANGFUSE_BASE_URL", server.url)
    monkeypatch.setenv("LANGFUSE_PUBLIC_KEY", "pk-lf-1")
    monkeypatch.setenv("LANGFUSE_SECRET_KEY", SECRET)
    return server


def test_answers_and_scores_become_one_file(server, tmp_path):
    out = tmp_path / "logs.parquet"
    logs = pull_feedback("langfuse", out, feedback_name="thumbs", verified_name="correct")
    assert len(logs) == 120
    assert logs["feedback"].notna().sum() == 30
    assert logs["verified"].dropna().tolist() == [0, 1, 0, 1, 0]
    row = logs[logs["completion"] == "Answer 8."].iloc[0]
    assert (row["prompt"], row["feedback"], row["user"]) == ("Question 8?", 1, "u3")
    again = load_feedback(out)
    assert again["completion"].tolist() == logs["completion"].tolist()
    assert again["feedback"].equals(logs["feedback"])
    assert again["timestamp"].equals(logs["timestamp"])
    assert not (tmp_path / "logs.parquet.part").exists()


def test_a_stopped_pull_continues_without_a_page_twice(server, tmp_path):
    out = tmp_path / "logs.parquet"
    server.fail_after = 3
    with pytest.raises(ConnectionError, match="status 400"):
        pull_feedback("langfuse", out, feedback_name="thumbs")
    assert not out.exists()
    server.fail_after = None
    logs = pull_feedback("langfuse", out, feedback_name="thumbs")
    assert len(logs) == 120
    requests = [(path, query.get("cursor")) for path, query, _ in server.asked]
    assert len(requests) == len({str(request) for request in requests}) == 5 + 4


def test_since_is_passed_to_the_server(server, tmp_path):
    logs = pull_feedback(
        "langfuse", tmp_path / "a.parquet", since="2026-11-01T01:10", feedback_name="thumbs"
    )
    assert len(logs) == 50
    assert str(logs["timestamp"].min()) == "2026-11-01 01:10:00+00:00"
    _, query, _ = server.asked[0]
    assert query["fromStartTime"] == ["2026-11-01T00:10:00Z"]
    assert logs.attrs["load_feedback"]["n_before_since"] == 60


def test_keys_are_required_and_select_the_project(server, tmp_path, monkeypatch):
    with pytest.raises(UnusedParameterError, match="keys belong to one project"):
        pull_feedback("langfuse", tmp_path / "a.parquet", project="p")
    monkeypatch.delenv("LANGFUSE_SECRET_KEY")
    with pytest.raises(PermissionError, match="set LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY"):
        pull_feedback("langfuse", tmp_path / "a.parquet")


def test_a_server_without_these_endpoints_is_named(serve, tmp_path, monkeypatch, server):
    monkeypatch.setenv("LANGFUSE_BASE_URL", serve({}).url)
    with pytest.raises(InvalidInputError, match="does not serve observations v2"):
        pull_feedback("langfuse", tmp_path / "a.parquet")
