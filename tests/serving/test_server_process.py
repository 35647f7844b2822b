"""The command line's server as a process: address, rewards, overload, and a stop under load."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict

import numpy as np
import pytest

from skcausalrm.export import RewardScorer

httpx = pytest.importorskip("httpx")
onnx = pytest.importorskip("onnx")
tokenizers = pytest.importorskip("tokenizers")
pytest.importorskip("uvicorn")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A text file whose encoder counts tokens: rewards are sigmoids of that."""
    import hashlib
    import json

    from onnx import TensorProto, helper, numpy_helper

    from skcausalrm.export._metadata import FORMAT_VERSION
    from skcausalrm.export._text_tokens import TextSettings

    folder = tmp_path_factory.mktemp("served")
    words = {word: i for i, word in enumerate(["<unk>", "<pad>", *"abcdefgh"])}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    content = tokenizer.to_str().encode()
    (folder / "reward.tokenizer.json").write_bytes(content)
    text = TextSettings(
        tokenizer_file="reward.tokenizer.json",
        tokenizer_sha256=hashlib.sha256(content).hexdigest(),
        encoder="counts",
        precision="float32",
        prefix="",
        max_length=4096,
        truncation_side="right",
        pad_id=1,
        agreement={},
    )
    one = numpy_helper.from_array(np.array([1]), "one")
    nodes = [
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["mask", "one"], ["score"], keepdims=0),
        helper.make_node("Sigmoid", ["score"], ["reward"]),
        helper.make_node("Identity", ["input_ids"], ["unused"]),
    ]
    ids = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["N", "L"])
        for name in ("input_ids", "attention_mask")
    ]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N"])
        for name in ("reward", "score")
    ]
    graph = helper.make_graph(nodes, "counts", ids, outputs, [one])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(
        model,
        {
            "format_version": str(FORMAT_VERSION),
            "skcausalrm_version": "0",
            "head": "ridge",
            "method": "dr",
            "binary": "true",
            "n_features": "1",
            "feature_names": "null",
            "created_with": "{}",
            "text": json.dumps(asdict(text)),
        },
    )
    onnx.save(model, folder / "reward.onnx")
    return folder / "reward.onnx"


class Server:
    """A process of ``skcausalrm serve`` on a free port."""

    def __init__(self, path, *options, **environment):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "skcausalrm", "serve", str(path), "--port", "0", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        self.address = self.process.stdout.readline().strip()
        assert self.address.startswith("http://"), self.process.communicate()[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


ROWS = [{"prompt": "a", "completion": "b " * n} for n in range(1, 40)]


def test_rewards_are_the_offline_ones(path):
    scorer = RewardScorer.load(path)
    expected = scorer.predict([(row["prompt"], row["completion"]) for row in ROWS])
    with Server(path) as server:
        reply = httpx.post(f"{server.address}/score", json={"rows": ROWS})
        assert reply.json()["rewards"] == expected.tolist()
        assert httpx.get(f"{server.address}/readyz").json()["model"] == "reward.onnx"


def test_sigterm_under_load_loses_no_accepted_request(path):
    with Server(path, "--max-batch", "4") as server:
        statuses, errors = [], []

        def ask():
            with httpx.Client(timeout=30) as client:
                while True:
                    try:
                        reply = client.post(f"{server.address}/score", json={"rows": ROWS})
                    except httpx.ConnectError:
                        return  # closed to new requests
                    except httpx.RemoteProtocolError as error:
                        errors.append(error)
                        return
                    statuses.append(reply.status_code)
                    if reply.headers.get("connection") == "close":
                        return

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        while len(statuses) < 20:
            time.sleep(0.01)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
        for thread in threads:
            thread.join()
    assert set(statuses) <= {200, 503}
    assert statuses.count(200) >= 20
    # a request that met a kept connection just as it was closed was never accepted
    assert all("without sending a response" in str(error) for error in errors)


def test_token_from_the_environment(path):
    with Server(path, SKCAUSALRM_TOKEN="sesame") as server:
        assert httpx.post(f"{server.address}/score", json={"rows": ROWS}).status_code == 401
        headers = {"Authorization": "Bearer sesame"}
        reply = httpx.post(f"{server.address}/score", json={"rows": ROWS}, headers=headers)
        assert reply.status_code == 200


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--host", "0.0.0.0"], "Without a token anybody who reaches 0.0.0.0"),
        (["--token-file", os.devnull], ""),
        (["--port", "99999"], ""),
    ],
)
def test_bad_options_end_with_2(path, options, sentence):
    environment = {name: v for name, v in os.environ.items() if name != "SKCAUSALRM_TOKEN"}
    done = subprocess.run(
        [sys.executable, "-m", "skcausalrm", "serve", str(path), *options],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_in_use_ends_with_2(path):
    with Server(path) as server:
        port = server.address.rsplit(":", 1)[1]
        done = subprocess.run(
            [sys.executable, "-m", "skcausalrm", "serve", str(path), "--port", port],
            capture_output=True,
            text=True,
        )
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1 port {port}" in done.stderr


def test_page_in_a_browser(path, tmp_path):
    """Headless Chromium ranks two answers on the page and shows hostile text as text."""
    import shutil

    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("no chromium on this machine")
    with Server(path) as server:
        # a link that carries the texts ranks them at once
        done = subprocess.run(
            [
                browser,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                f"--user-data-dir={tmp_path}",
                "--virtual-time-budget=5000",
                "--dump-dom",
                f"{server.address}/?prompt=Hi&answer=a&answer=b+b+%3Cimg+src%3Dx%3E",
            ],
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert "reward.onnx, method dr" in done.stdout
    assert done.stdout.index("b b &lt;img src=x&gt;</div>") < done.stdout.index(">a</div>")
