"""`pull_feedback` with a small Open WebUI API on loopback, which needs no SDK."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
import traceback

import pandas as pd
import pytest

from skcausalrm.datasets import load_feedback, pull_feedback
from skcausalrm.exceptions import FileFormatError, InvalidInputError, UnusedParameterError

pytest.importorskip("httpx", reason="the extra open-webui is not installed")
SECRET = "sk-very-secret-key"
START = int(pd.Timestamp("2026-11-01", tz="UTC").timestamp())
USERS = ["ann", "bob", "cleo"]


def chat(number):
    """Make a chat of one question, or of two where the number is odd; one an hour."""
    began = START + 3600 * number
    messages, parent = {}, None
    for turn in range(1 + number % 2):
        for role in ("user", "assistant"):
            key = f"{role}-{turn}"
            text = f"{'Question' if role == 'user' else 'Answer'} {number}.{turn}"
            message = {"id": key, "parentId": parent, "role": role, "content": text}
            messages[key] = message | {"timestamp": began + turn, "model": "tiny"}
            parent = key
    return {
        "id": f"chat-{number}",
        "user_id": USERS[number % 3],
        "chat": {"history": {"messages": messages, "currentId": parent}},
        "created_at": began,
        "updated_at": began,
    }


def rating(number):
    """Make the feedback on the first answer of a chat."""
    return {
        "id": f"rating-{number}",
        "user_id": USERS[number % 3],
        "user": {"email": "ann@example.org"},
        "type": "rating",
        "data": {"rating": 1 if number % 4 else -1},
        "meta": {"chat_id": f"chat-{number}", "message_id": "assistant-0"},
        "created_at": START + 3600 * number + 60,
        "updated_at": START + 3600 * number + 60,
    }


def slice_of(records, query, size):
    page = int(query["page"][0])
    return records[(page - 1) * size : page * size]


@pytest.fixture
def server(serve, monkeypatch):
    chats = {f"/api/v1/chats/chat-{number}": chat(number) for number in range(50)}
    ratings = [rating(number) for number in range(0, 50, 2)]

    def titles(path, query, _):
        own = [one for one in chats.values() if one["user_id"] == path.rpartition("/")[2]]
        return slice_of(
            [{"id": one["id"], "updated_at": one["updated_at"]} for one in own], query, 6
        )

    server = serve(
        {
            "/api/v1/users/": lambda path, query, body: {
                "users": slice_of([{"id": user, "email": "x"} for user in USERS], query, 2)
            },
            "/api/v1/chats/list/user/": titles,
            "/api/v1/chats/": lambda path, query, body: chats[path],
            "/api/v1/evaluations/feedbacks/list": lambda path, query, body: {
                "items": slice_of(ratings, query, 10)
            },
        },
        SECRET,
    )
    monkeypatch.setenv("OPEN_WEBUI_URL", server.url)
    monkeypatch.setenv("OPEN_WEBUI_API_KEY", SECRET)
    return server


def requests(server):
    return [(path, str(query)) for path, query, _ in server.asked]


def test_the_file_loads_to_the_same_table(server, tmp_path):
    out = tmp_path / "logs.parquet"
    lines = []
    logs = pull_feedback("open-webui", out, progress=lines.append)
    assert len(logs) == 75
    assert logs["feedback"].notna().sum() == 25
    assert (logs["feedback"] == 0).sum() == 13
    assert logs["user"].nunique() == 3
    second = logs[logs["completion"] == "Answer 3.1"].iloc[0]
    assert [message["content"] for message in second["prompt"]] == [
        *("Question 3.0", "Answer 3.0", "Question 3.1")
    ]
    again = load_feedback(out)
    assert list(again.columns) == list(logs.columns)
    for name in logs.columns:
        assert again[name].tolist() == logs[name].tolist() or again[name].equals(logs[name]), name
    assert "chats: 50" in lines
    assert os.listdir(tmp_path) == ["logs.parquet"]


def test_a_stopped_pull_continues_without_a_page_twice(server, tmp_path):
    out = tmp_path / "logs.parquet"
    for fail_after in (1, 4, 8, 41, 62, 64):
        server.fail_after = fail_after
        with pytest.raises(ConnectionError, match="status 400: run the same command again"):
            pull_feedback("open-webui", out)
    assert not out.exists()
    server.fail_after = None
    assert len(pull_feedback("open-webui", out)) == 75
    # A page of chats is twenty requests; each page that was written was asked for once.
    once = [request for request in requests(server) if "/chats/chat-" not in request[0]]
    assert len(once) == len(set(once))


def test_a_killed_process_continues(server, tmp_path):
    out = tmp_path / "logs.parquet"
    slow = server.routes["/api/v1/evaluations/feedbacks/list"]
    server.routes["/api/v1/evaluations/feedbacks/list"] = lambda *asked: time.sleep(60)
    code = (
        f"from skcausalrm.datasets import pull_feedback; pull_feedback('open-webui', {str(out)!r})"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    limit = time.monotonic() + 120
    while "feedbacks/list" not in str(requests(server)[-1:]) and time.monotonic() < limit:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = requests(server)
    assert len(before) > 60
    server.routes["/api/v1/evaluations/feedbacks/list"] = slow
    server.asked.clear()
    assert len(pull_feedback("open-webui", out)) == 75
    assert set(requests(server)) & set(before) == {before[-1]}


def test_since_drops_earlier_answers(server, tmp_path):
    logs = pull_feedback("open-webui", tmp_path / "a.parquet", since="2026-11-02T00:00:00Z")
    assert logs["timestamp"].min() == pd.Timestamp("2026-11-02", tz="UTC")
    assert len(logs) == 39
    assert logs.attrs["load_feedback"]["n_before_since"] == 2
    fetched = [path for path in server.paths() if "/chats/chat-" in path]
    assert len(fetched) == 27  # one hour more than asked for
    with pytest.raises(FileFormatError, match="no answers since 2030"):
        pull_feedback("open-webui", tmp_path / "b.parquet", since="2030-01-01")
    assert os.listdir(tmp_path) == ["a.parquet"]


@pytest.mark.parametrize("since", ["yesterday", "2026-13-01", 5])
def test_since_must_be_a_date(server, tmp_path, since):
    with pytest.raises(InvalidInputError, match=r"since=.* is no ISO date"):
        pull_feedback("open-webui", tmp_path / "a.parquet", since=since)
    assert server.asked == []


def test_secrets_are_in_no_file_and_no_error(server, tmp_path, monkeypatch, caplog):
    out = tmp_path / "logs.parquet"
    errors = []

    def fails(expected):
        with pytest.raises(expected) as caught:
            pull_feedback("open-webui", out)
        errors.append("".join(traceback.format_exception(caught.value)))

    server.fail_after = 30
    fails(ConnectionError)
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    texts = [gzip.decompress(page) if page[:2] == b"\x1f\x8b" else page for page in written]
    assert len(texts) > 5
    server.secret = "another one"
    fails(PermissionError)
    monkeypatch.setenv("OPEN_WEBUI_URL", "http://me:word-of-pass@127.0.0.1:1")
    with pytest.raises(UnusedParameterError, match="holds an unfinished pull with server="):
        pull_feedback("open-webui", out)
    out = tmp_path / "other.parquet"
    fails(ConnectionError)
    everything = b" ".join(texts).decode() + " ".join(errors) + caplog.text
    assert "127.0.0.1" in everything
    for secret in (SECRET, "word-of-pass", "example.org"):
        assert secret not in everything
    assert "set OPEN_WEBUI_API_KEY" in errors[1]
    assert "cannot be reached" in errors[2]
    assert "check OPEN_WEBUI_URL" in errors[2]


def test_pages_stay_if_they_cannot_be_loaded(server, tmp_path):
    out = tmp_path / "logs.parquet"
    with pytest.raises(FileFormatError, match=r"The fetched pages stay in .*: another call"):
        pull_feedback("open-webui", out, verified_name="nobody")
    server.asked.clear()
    assert len(pull_feedback("open-webui", out)) == 75
    assert server.asked == []


def test_pages_of_another_request_are_not_mixed(server, tmp_path):
    out = tmp_path / "logs.parquet"
    server.fail_after = 5
    with pytest.raises(ConnectionError):
        pull_feedback("open-webui", out)
    with pytest.raises(UnusedParameterError, match="since=None, but this one has since='2026-11"):
        pull_feedback("open-webui", out, since="2026-11-01")
    page = tmp_path / "logs.parquet.part" / "users-000002.json.gz"
    page.write_bytes(page.read_bytes()[:20])
    server.fail_after = None
    with pytest.raises(FileFormatError, match="is damaged"):
        pull_feedback("open-webui", out)


def test_arguments_are_checked_before_the_first_request(server, tmp_path, monkeypatch):
    out = tmp_path / "logs.parquet"
    for error, match, arguments in (
        (ValueError, "tool='Phoenix' is unknown", {"tool": "Phoenix"}),
        (UnusedParameterError, "a server has no projects", {"project": "p"}),
        (TypeError, "'feedback' is no option of load_feedback", {"feedback": "x"}),
        (TypeError, "'format' is no option", {"format": "plain"}),
        (NotADirectoryError, "is no folder", {"out": tmp_path / "none" / "x.parquet"}),
    ):
        with pytest.raises(error, match=match):
            pull_feedback(**({"tool": "open-webui", "out": out} | arguments))
    out.write_text("mine")
    with pytest.raises(FileExistsError, match=r"logs.parquet exists"):
        pull_feedback("open-webui", out)
    assert out.read_text() == "mine"
    monkeypatch.delenv("OPEN_WEBUI_API_KEY")
    with pytest.raises(PermissionError, match="set OPEN_WEBUI_URL and OPEN_WEBUI_API_KEY"):
        pull_feedback("open-webui", out, overwrite=True)
    assert server.asked == []


def test_another_server_is_named(serve, tmp_path, monkeypatch, server):
    monkeypatch.setenv("OPEN_WEBUI_URL", serve({}).url)
    with pytest.raises(InvalidInputError, match="does not serve the chats"):
        pull_feedback("open-webui", tmp_path / "a.parquet")
    other = serve({"/api/v1/users/": lambda *asked: ["no", "users"]})
    monkeypatch.setenv("OPEN_WEBUI_URL", other.url)
    with pytest.raises(ConnectionError, match="is no Open WebUI"):
        pull_feedback("open-webui", tmp_path / "b.parquet")


def test_a_page_is_whole_or_absent(server, tmp_path):
    server.fail_after = 20
    with pytest.raises(ConnectionError):
        pull_feedback("open-webui", tmp_path / "logs.parquet")
    pages = sorted((tmp_path / "logs.parquet.part").glob("*.json.gz"))
    assert {
        json.loads(gzip.decompress(page.read_bytes())).keys() == {"next", "records"}
        for page in pages
    } == {True}
