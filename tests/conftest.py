"""A server on loopback that answers from a table of routes, for tests of pulls."""

import json
import os
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import settings

settings.register_profile("suite", max_examples=40, deadline=None)
settings.load_profile("suite")
# `make fuzz`
settings.register_profile("fuzz", max_examples=5_000, deadline=None)


class Server:
    """Routes are functions of (path, query, body), by path; one that ends in "/" is a prefix.

    Attributes
    ----------
    asked : list of (path, query, body)
        Requests that were answered.
    fail_after : int or None
        Number of answers after which every request gets status 400.
    """

    def __init__(self, routes, secret=None):
        self.routes, self.secret = routes, secret
        self.asked, self.fail_after = [], None
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Head and body are two writes: the second would wait 40 ms for the first's receipt.
            disable_nagle_algorithm = True

            def do_GET(self):
                parts = urlsplit(self.path)
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length) or b"null")
                status, answer = owner.answer(parts.path, parse_qs(parts.query), body, self.headers)
                content = json.dumps(answer, default=str).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_POST = do_GET

            def log_message(self, *_):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def answer(self, path, query, body, headers):
        if self.secret is not None and not any(
            self.secret in value for name, value in headers.items() if name.lower() != "host"
        ):
            return 401, {"detail": "unauthorized"}
        if self.fail_after is not None and len(self.asked) >= self.fail_after:
            return 400, {"detail": "stopped"}
        named = [
            name
            for name in self.routes
            if path == name or (name[-1] == "/" and path[: len(name)] == name)
        ]
        if not named:
            return 404, {"detail": "not found"}
        self.asked.append((path, query, body))
        return 200, self.routes[max(named, key=len)](path, query, body)

    def paths(self):
        return [path for path, _, _ in self.asked]

    def close(self):
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """Return a function by which one worker fills a folder that all workers then read."""
    filelock = pytest.importorskip("filelock")
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent

    def once(name, fill):
        folder, filled = root / name, root / f"{name}.filled"
        with filelock.FileLock(root / f"{name}.lock"):
            if not filled.exists():
                folder.mkdir(exist_ok=True)
                fill(folder)
                filled.touch()
        return folder

    return once


@pytest.fixture(scope="session")
def traced_graph(once):
    """The bundled encoder's traced graph, serialised, for exports to share.

    Tracing takes most of their time.
    """
    from skcausalrm import ConversationEncoder
    from skcausalrm.export import _text_graph as text_graph
    from skcausalrm.text._encoder import backend_of

    def trace(folder):
        reference = ConversationEncoder(device="cpu", dtype="float32")
        graph = text_graph.encoder_graph(backend_of(reference), False)
        (folder / "graph.onnx").write_bytes(graph.SerializeToString())

    return (once("traced", trace) / "graph.onnx").read_bytes()


@pytest.fixture(scope="session")
def with_traced_graph(traced_graph):
    """Return a context in which exports of the bundled encoder take its traced graph."""
    import onnx

    def encoder_graph(backend, normalize):
        assert backend.settings.source.name == "sentence-transformers/all-MiniLM-L6-v2"
        assert not normalize
        return onnx.load_from_string(traced_graph)

    @contextmanager
    def context():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("skcausalrm.export._text_file.encoder_graph", encoder_graph)
            yield

    return context


@pytest.fixture
def serve():
    """Start a `Server`; all are closed at the end."""
    started = []

    def start(routes, secret=None):
        started.append(Server(routes, secret))
        return started[-1]

    yield start
    for server in started:
        server.close()
