"""Routes, limits, errors, token, metrics and page, without a network."""

import socket
import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings

from skcausalrm.serving import ServerSettings, TextModel, create_app
from skcausalrm.text._conversation import as_conversations

pytest.importorskip("httpx")
from fastapi.testclient import TestClient


@pytest.fixture
def client(model):
    with TestClient(create_app(model)) as client:
        yield client


def client_with(model, **settings):
    return TestClient(create_app(model, ServerSettings(**settings)))


PAIR = {"prompt": "What is 2 + 2?", "completion": "4."}
CHAT = {
    "messages": [
        {"role": "user", "content": "What is 2 + 2?"},
        {"role": "assistant", "content": [{"type": "text", "text": "4."}]},
    ]
}


def test_score(client, model):
    rows = [PAIR, CHAT, {"prompt": [{"role": "user", "content": "Hi"}], "completion": "good"}]
    reply = client.post("/score", json={"rows": rows})
    assert reply.status_code == 200
    pairs = [("What is 2 + 2?", "4."), ("What is 2 + 2?", "4."), ("Hi", "good")]
    assert reply.json() == {"rewards": model.predict(pairs).tolist(), "model": "test-model"}


def test_score_says_what_is_accepted_where_the_model_has_a_threshold(model):
    rewards = model.predict([("p", text) for text in ("a", "good, good answer")])
    known = {"acceptance": {"threshold": float(rewards.mean()), "max_bad": 0.1}}
    with TestClient(create_app(TextModel("m", model.rewards_and_scores, known))) as client:
        rows = [{"prompt": "p", "completion": text} for text in ("a", "good, good answer", "  ")]
        reply = client.post("/score", json={"rows": rows}).json()
        assert reply == {"rewards": [*rewards, 0], "accept": [False, True, False], "model": "m"}
        assert client.get("/readyz").json()["acceptance"] == known["acceptance"]


def test_rank(client, model):
    # the reward of a text rises with its length and with "good" (see conftest.py)
    completions = ["a", "good, good answer", [{"role": "assistant", "content": "good"}]]
    found = client.post("/rank", json={"prompt": "p", "completions": completions}).json()
    rewards = model.predict([("p", text) for text in ("a", "good, good answer", "good")])
    assert found == {"order": [1, 2, 0], "rewards": rewards.tolist(), "model": "test-model"}


def test_state(client):
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"model": "test-model", "method": "selection"}
    client.app.state.engine.is_open = False
    assert client.get("/readyz").status_code == 503
    client.app.state.engine.is_open = True
    assert client.get("/nowhere").json()["error"]["type"] == "HTTPError"


def test_metrics(client):
    client.post("/score", json={"rows": [PAIR, PAIR]})
    client.post("/score", json={"rows": []})
    client.get("/favicon.php")
    text = client.get("/metrics").text
    assert 'skcausalrm_requests_total{route="/score",status="200"} 1.0' in text
    assert 'skcausalrm_requests_total{route="/score",status="422"} 1.0' in text
    assert 'skcausalrm_requests_total{route="other",status="404"} 1.0' in text
    assert "skcausalrm_rows_total 2.0" in text
    assert "skcausalrm_waiting_rows 0.0" in text


@pytest.mark.parametrize(
    ("rows", "index", "words"),
    [
        ([], None, "at least 1"),
        ([PAIR, {"prompt": "p"}], 1, "needs prompt and completion, or messages alone"),
        ([{**CHAT, **PAIR}], 0, "send one of both"),
        ([{"messages": CHAT["messages"][:1]}], 0, "not the assistant's"),
        ([{"messages": []}], 0, "needs prompt and completion"),
        ([PAIR, {"prompt": None, "completion": "a"}], 1, "needs prompt"),
        ([PAIR, {"prompt": 3, "completion": "a"}], 1, "valid string"),
        ([PAIR] * 2 + [{"prompt": "", "completion": "x" * 3000}], 2, "3000 characters"),
        ([{"messages": [{"role": "user"}]}], 0, "not the assistant's"),
        ([{"messages": [{"content": "Hi"}]}], 0, "required"),
    ],
)
def test_bad_rows_are_named(model, rows, index, words):
    with client_with(model, max_characters=2000) as client:
        reply = client.post("/score", json={"rows": rows})
    assert reply.status_code == 422
    error = reply.json()["error"]
    assert set(error) == {"type", "message", "index"}
    assert words in error["message"]
    assert error["index"] == index


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"rows": [{"prompt": NaN, "completion": "a"}]}', 422),
        (b'{"rows": NaN}', 422),
        (b'{"rows": [{"prompt": "a", "completion": -Infinity}]}', 422),
        (b'{"rows": [', 422),
        (b"", 422),
        (b"null", 422),
        (b"[]", 422),
        (b'{"rows": "\xff"}', 400),
        (b'{"rows": [{"prompt": "\\ud83d", "completion": "\\udca9 half"}]}', 200),
        (b'{"rows": [{"prompt": "\\u0000", "completion": "a\\u0000"}]}', 200),
        (b'{"rows": [{"prompt": "\\ud83d", "completion": {"\\ud83d": 1}}]}', 422),
    ],
)
def test_bad_bodies(client, body, status):
    reply = client.post("/score", content=body, headers={"content-type": "application/json"})
    assert reply.status_code == status
    if status != 200:
        assert reply.json()["error"]["message"]


def test_too_much(model):
    with client_with(model, max_rows=10, max_bytes=10_000) as client:
        reply = client.post("/score", json={"rows": [PAIR] * 11})
        assert reply.status_code == 413
        assert "11 rows are over the 10" in reply.json()["error"]["message"]
        body = ({"rows": [{"prompt": "a" * 20_000, "completion": "b"}]},)
        reply = client.post("/score", json=body)
        assert reply.status_code == 413

        def endless():  # no Content-Length to go by
            yield b'{"rows": ["'
            for _ in range(1000):
                yield b"a" * 1000

        reply = client.post("/score", content=endless())
        assert reply.status_code == 413
        assert "over 10000 bytes" in reply.json()["error"]["message"]
        assert client.post("/score", json={"rows": [PAIR]}).status_code == 200


def body_of(n_bytes):
    """JSON of one row, `n_bytes` long."""
    start, end = b'{"rows": [{"prompt": "p", "completion": "', b'"}]}'
    return start + b"a" * (n_bytes - len(start) - len(end)) + end


@pytest.mark.parametrize("in_parts", [False, True])
def test_a_body_of_exactly_the_limit_is_accepted_and_one_byte_more_refused(model, in_parts):
    def sent(n_bytes):
        body = body_of(n_bytes)
        return iter([body[:70], body[70:]]) if in_parts else body

    headers = {"content-type": "application/json"}
    with client_with(model, max_bytes=100) as client:
        for n_bytes, status in ((99, 200), (100, 200), (101, 413)):
            reply = client.post("/score", content=sent(n_bytes), headers=headers)
            assert reply.status_code == status, n_bytes


@pytest.mark.parametrize(
    ("path", "body_of_rows"),
    [
        ("/score", lambda n: {"rows": [PAIR] * n}),
        ("/score", lambda n: {"text_1": "p", "text_2": ["a"] * n}),
        ("/rank", lambda n: {"prompt": "p", "completions": ["a"] * n}),
        ("/rerank", lambda n: {"query": "p", "texts": ["a"] * n}),
        ("/get_reward", lambda n: {"query": ["a"] * n}),
        ("/classify", lambda n: {"input": ["a"] * n}),
    ],
)
def test_an_idle_server_takes_requests_of_max_rows_and_refuses_larger_ones_by_size(
    model, path, body_of_rows
):
    """Rows beyond the queue's room are no reason to refuse: a later try would fit no better."""
    with client_with(model, max_rows=10, max_queue=4, max_batch=3) as client:
        assert client.post(path, json=body_of_rows(10)).status_code == 200
        reply = client.post(path, json=body_of_rows(11))
        assert reply.status_code == 413
        assert "retry-after" not in reply.headers


def test_a_text_of_exactly_max_characters_is_scored(model):
    with client_with(model, max_characters=20) as client:
        for n_characters, status in ((20, 200), (21, 422)):
            row = {"prompt": "", "completion": "a" * n_characters}
            assert client.post("/score", json={"rows": [row]}).status_code == status


def test_a_million_items(client):
    body = b'{"rows": [' + b"1," * 999_999 + b"1]}"
    assert client.post("/score", content=body).status_code in (413, 422)


def test_overload_is_503_with_retry_after(model, spy):
    from concurrent.futures import ThreadPoolExecutor

    with client_with(model, max_queue=2, max_batch=1) as client:
        spy.gate.clear()
        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(client.post, "/score", json={"rows": [PAIR]}) for _ in range(8)]
            spy.gate.wait(0.5)
            spy.gate.set()
            replies = [one.result() for one in asked]
    statuses = sorted(reply.status_code for reply in replies)
    assert statuses.count(200) >= 2
    assert statuses.count(503) >= 1
    assert set(statuses) == {200, 503}
    refused = next(reply for reply in replies if reply.status_code == 503)
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.json()["error"]["type"] == "OverloadedError"


def test_token(model):
    with client_with(model, token="sesame") as client:
        for headers in ({}, {"Authorization": "Bearer open"}, {"Authorization": "Basic sesame"}):
            reply = client.post("/score", json={"rows": [PAIR]}, headers=headers)
            assert reply.status_code == 401
            assert reply.headers["www-authenticate"] == "Bearer"
        for path in ("/rank", "/get_reward", "/classify", "/rerank"):
            assert client.post(path, json={}).status_code == 401
        assert client.get("/metrics").status_code == 401
        assert client.get("/healthz").status_code == client.get("/").status_code == 200
        right = {"Authorization": "Bearer sesame"}
        assert client.post("/score", json={"rows": [PAIR]}, headers=right).status_code == 200


def test_names_of_others_are_refused(model):
    with client_with(model, allowed_hosts=("localhost",)) as client:
        assert client.get("/healthz", headers={"host": "evil.example"}).status_code == 400
        assert client.get("/healthz", headers={"host": "localhost:8000"}).status_code == 200


def test_page_is_its_own_and_runs_nothing_of_others(client):
    page = client.get("/")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "http://" not in page.text
    assert "https://" not in page.text
    for name in ("page.css", "page.js"):
        assert f"static/{name}" in page.text
        assert client.get(f"/static/{name}").status_code == 200
    assert "innerHTML" not in client.get("/static/page.js").text
    assert client.get("/static/../app.py").status_code == 404
    assert client.get("/static/%2e%2e%2fapp.py").status_code == 404


def test_a_failing_model_is_500_and_the_server_lives(model):
    with TestClient(create_app(model), raise_server_exceptions=False) as client:
        poison = {"prompt": "p", "completion": "poison"}
        reply = client.post("/score", json={"rows": [poison]})
        assert reply.status_code == 500
        assert client.post("/score", json={"rows": [PAIR]}).status_code == 200
    assert len(as_conversations([("a", "b")])) == 1


@pytest.fixture
def address(model):
    """A server on a free port of this machine, in a thread."""
    uvicorn = pytest.importorskip("uvicorn")
    server = uvicorn.Server(uvicorn.Config(create_app(model), log_level="critical"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()


def test_no_request_that_openapi_allows_or_forbids_is_a_failure_of_the_server(address):
    schemathesis = pytest.importorskip("schemathesis")
    schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
    checks = schemathesis.checks.CHECKS.get_by_names(
        ["status_code_conformance", "content_type_conformance", "response_schema_conformance"]
    )
    paths = set()
    for result in schema.get_all_operations():
        operation = result.ok()
        paths.add(operation.path)
        modes = list(schemathesis.GenerationMode)
        for mode in modes if operation.method == "post" else [schemathesis.GenerationMode.POSITIVE]:

            @given(operation.as_strategy(generation_mode=mode))
            @settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
            def ask(case):
                reply = case.call()
                assert reply.status_code < 500 or reply.status_code == 503
                # a row may be refused that the schema allows: it does not say what a text must hold
                case.validate_response(reply, checks=checks)

            ask()
    assert {"/score", "/rank", "/healthz", "/metrics", "/get_reward", "/classify"} <= paths
