"""Start a tool's real server, let an assistant log to it, pull the log, and fit on it.

``python tests/live/run.py phoenix|mlflow|open-webui [--environments DIR]``; see README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from skcausalrm.datasets import load_feedback, make_feedback_logs

HERE = Path(__file__).parent
REQUIREMENTS = {
    "phoenix": ["arize-phoenix", "openai", "openinference-instrumentation-openai"],
    "mlflow": ["mlflow", "openai"],
    "open-webui": ["torch==2.13.0", "open-webui==0.12.4"],
}


def environment(tool, folder):
    """Return the Python of the tool's own environment, made on first use."""
    python = folder / tool / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder / tool], check=True)
        for requirement in REQUIREMENTS[tool]:  # one by one: torch first
            subprocess.run([python, "-m", "pip", "install", "-q", requirement], check=True)
    return python


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running(command, url, variables, log, patience=180):
    """Run a server until the block ends; wait until `url` answers."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            list(map(str, command)),
            env=os.environ | variables,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=log.parent,
        )
        try:
            for _ in range(patience * 2):
                if process.poll() is not None:
                    raise SystemExit(f"{command[0]} ended:\n{log.read_text()[-3000:]}")
                try:
                    urllib.request.urlopen(url, timeout=5)
                    break
                except urllib.error.HTTPError:
                    break
                except OSError:
                    time.sleep(0.5)
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


def write_log(path):
    frame = make_feedback_logs(240, observed_rate=0.5, n_verified=60, random_state=0).frame
    frame = frame[["prompt", "completion", "feedback", "verified", "user", "model"]]
    frame.to_json(path, orient="records", lines=True)
    return frame


def as_counter(frame, columns):
    rows = frame[columns].astype(object).where(frame[columns].notna(), None)
    return Counter(map(tuple, rows.to_numpy()))


def skcausalrm(*arguments, variables=None, check=True):
    done = subprocess.run(
        [sys.executable, "-m", "skcausalrm", *map(str, arguments)],
        env=os.environ | (variables or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    if check and done.returncode:
        raise SystemExit(f"skcausalrm {arguments} failed:\n{done.stdout}\n{done.stderr}")
    return done


def phoenix(python, folder, stack):
    port, secret = free_port(), secrets.token_hex(20)
    url = f"http://127.0.0.1:{port}"
    variables = {
        "PHOENIX_WORKING_DIR": str(folder),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(free_port()),
        "PHOENIX_ENABLE_AUTH": "true",
        "PHOENIX_SECRET": secrets.token_hex(20) + "a1",
        "PHOENIX_ADMIN_SECRET": secret + "b2",
        "PHOENIX_TELEMETRY_ENABLED": "false",
    }
    server = [python.parent / "phoenix", "serve"]
    stack.enter_context(running(server, f"{url}/healthz", variables, folder / "server.log"))
    return (
        {"SERVER": url, "SECRET": secret + "b2"},
        {"PHOENIX_COLLECTOR_ENDPOINT": url, "PHOENIX_API_KEY": secret + "b2"},
        ["--project", "assistant", "--feedback-name", "user feedback", "--verified", "correct"],
    )


def mlflow(python, folder, stack):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    server = [python.parent / "mlflow", "server", "--host", "127.0.0.1", "--port", port]
    server += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--workers", "1"]
    server += ["--artifacts-destination", folder / "artifacts"]
    stack.enter_context(running(server, f"{url}/health", {}, folder / "server.log"))
    return (
        {"MLFLOW_TRACKING_URI": url},
        {"MLFLOW_TRACKING_URI": url},
        ["--project", "assistant", "--feedback-name", "user_feedback", "--verified", "correct"],
    )


def open_webui(python, folder, stack):
    port, openai = free_port(), os.environ["OPENAI"]
    url = f"http://127.0.0.1:{port}"
    variables = {
        "DATA_DIR": str(folder),
        "WEBUI_SECRET_KEY": secrets.token_hex(20),
        "OPENAI_API_BASE_URL": openai,
        "OPENAI_API_KEY": "none",
        "ENABLE_OLLAMA_API": "False",
        "ENABLE_API_KEYS": "True",
        "BYPASS_MODEL_ACCESS_CONTROL": "True",  # or users see no model
        "HF_HUB_OFFLINE": "1",
        "OFFLINE_MODE": "true",
    }
    server = [python, "-c", "from open_webui import app; app()", "serve"]
    server += ["--host", "127.0.0.1", "--port", port]
    stack.enter_context(running(server, f"{url}/health", variables, folder / "server.log"))
    account = {"name": "Admin", "email": "admin@example.org", "password": secrets.token_hex(20)}
    with httpx.Client(base_url=f"{url}/api/v1/auths", timeout=60) as client:
        token = client.post("/signup", json=account).raise_for_status().json()["token"]
        headers = {"Authorization": f"Bearer {token}"}
        key = client.post("/api_key", headers=headers).raise_for_status().json()["api_key"]
        tokens = [token]
        for name in ("ann", "bob"):
            user = account | {"name": name, "email": f"{name}@example.org", "role": "user"}
            added = client.post("/add", headers=headers, json=user)
            tokens.append(added.raise_for_status().json()["token"])
    return (
        {"SERVER": url, "TOKENS": " ".join(tokens)},
        {"OPEN_WEBUI_URL": url, "OPEN_WEBUI_API_KEY": key},
        [],
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tool", choices=sorted(REQUIREMENTS))
    parser.add_argument("--environments", type=Path, default=Path(tempfile.gettempdir()) / "live")
    given = parser.parse_args()
    python = environment(given.tool, given.environments)
    name = given.tool.replace("-", "_")

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        logged = write_log(folder / "log.jsonl")
        stub = free_port()
        openai = f"http://127.0.0.1:{stub}/v1"
        command = [sys.executable, HERE / "openai_stub.py", folder / "log.jsonl", stub]
        stack.enter_context(running(command, f"{openai}/models", {}, folder / "stub.log"))
        began = time.perf_counter()
        os.environ["OPENAI"] = openai
        variables, credentials, options = globals()[name](python, folder, stack)
        print(f"the server started in {time.perf_counter() - began:.0f} s")
        application = subprocess.run(
            [python, HERE / f"{name}_app.py", folder / "log.jsonl"],
            env=os.environ | variables,
            check=True,
            cwd=folder,
            stdout=subprocess.PIPE,
            text=True,
        )
        print(application.stdout.strip().splitlines()[-1])

        out = folder / "pulled.parquet"
        began = time.perf_counter()
        pulled = skcausalrm("pull", given.tool, "--out", out, *options, variables=credentials)
        seconds = time.perf_counter() - began
        print(pulled.stdout)
        frame = load_feedback(out)
        columns = ["prompt", "completion", "feedback"]
        columns += ["verified"] if "--verified" in options else []
        unequal = as_counter(logged, columns) - as_counter(frame, columns)
        print(f"pulled {len(frame)} of {len(logged)} answers in {seconds:.1f} s")
        print(f"{sum(unequal.values())} differ in text, feedback or verdict")
        for secret in credentials.values():
            if "://" not in secret and secret in pulled.stdout + pulled.stderr:
                raise SystemExit("a credential was printed")
        wrong = {
            key: "http://127.0.0.1:9" if "://" in v else "wrong" for key, v in credentials.items()
        }
        for name, value in wrong.items():
            refused = skcausalrm(
                *("pull", given.tool, "--out", folder / "no.parquet", *options),
                variables=credentials | {name: value, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"},
                check=False,
            )
            print(f"{name} wrong: exit {refused.returncode}: {refused.stderr.strip()}")
            shutil.rmtree(folder / "no.parquet.part", ignore_errors=True)
        inspected = json.loads(skcausalrm("inspect", out, "--json").stdout)
        print("inspect:", json.dumps(inspected)[:600])
        fitted = skcausalrm("fit", out, "--out", folder / "model", "--json")
        report = json.loads(fitted.stdout)
        print("fit:", json.dumps({key: report[key] for key in list(report)[:6]}, default=str)[:600])
        if unequal or len(frame) != len(logged):
            raise SystemExit(f"the pulled log differs: {list(unequal)[:2]}")


if __name__ == "__main__":
    main()
