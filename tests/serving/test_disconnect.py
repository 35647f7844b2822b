"""A client that goes away leaves the queue, on every route."""

import asyncio
import json
import socket
import threading
import time

import pytest

from skcausalrm.serving import create_app, trl_reward_async

pytest.importorskip("httpx")
uvicorn = pytest.importorskip("uvicorn")

ANSWERS = [f"answer {k}" for k in range(300)]
BODIES = {
    "/score": {"rows": [{"prompt": "p", "completion": text} for text in ANSWERS]},
    "/rank": {"prompt": "p", "completions": ANSWERS},
    "/get_reward": {"query": ANSWERS},
    "/classify": {"input": ANSWERS},
    "/rerank": {"query": "p", "texts": ANSWERS},
}


@pytest.fixture
def server(model):
    """A server on loopback, and its engine."""
    app = create_app(model)
    config = uvicorn.Config(app, port=0, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_for(lambda: server.started)
    yield server.servers[0].sockets[0].getsockname()[1], app.state.engine
    server.should_exit = True
    thread.join()


def wait_for(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not come true"
        time.sleep(0.01)


@pytest.mark.parametrize("route", BODIES)
def test_rows_of_a_closed_connection_are_not_scored(server, spy, route):
    port, engine = server
    spy.gate.clear()  # the model is busy
    body = json.dumps(BODIES[route]).encode()
    head = (
        f"POST {route} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    spy.batches.clear()
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(head.encode() + body)
        wait_for(lambda: engine.n_waiting == len(ANSWERS) - engine.max_batch)
    wait_for(lambda: engine.n_waiting == 0)
    spy.gate.set()
    wait_for(lambda: spy.batches)
    time.sleep(0.1)
    assert spy.batches == [engine.max_batch]  # the batch that the model had begun


def test_rows_of_a_trainer_whose_patience_ended_are_not_scored(server, spy):
    port, engine = server
    httpx = pytest.importorskip("httpx")
    spy.gate.clear()
    reward = trl_reward_async(f"http://127.0.0.1:{port}", timeout=0.3)
    with pytest.raises(httpx.ReadTimeout):
        asyncio.run(reward(["p"] * 200, [f"answer {k}" for k in range(200)]))
    wait_for(lambda: engine.n_waiting == 0)
    spy.gate.set()


def test_other_clients_are_served_meanwhile(server, spy):
    import httpx

    port, engine = server
    spy.gate.clear()
    with socket.create_connection(("127.0.0.1", port)) as client:
        body = json.dumps(BODIES["/score"]).encode()
        client.sendall(
            b"POST /score HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body) + body
        )
        wait_for(lambda: engine.n_waiting)
    wait_for(lambda: engine.n_waiting == 0)
    spy.gate.set()
    rows = {"rows": [{"prompt": "p", "completion": "good"}]}
    reply = httpx.post(f"http://127.0.0.1:{port}/score", json=rows, timeout=10)
    assert reply.status_code == 200
    assert httpx.get(f"http://127.0.0.1:{port}/healthz").json() == {"status": "ok"}
