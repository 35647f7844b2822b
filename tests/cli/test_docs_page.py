"""Every command of the page on the command line runs, and its sample output is up to date."""

from __future__ import annotations

import re
import shlex
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from skcausalrm.cli._screen import Screen

PAGE = next((Path(__file__).parents[2] / "docs").rglob("command_line.md"))
# Commands that cannot run in a test: `serve` waits for requests.
NOT_RUN = {"serve"}


def sessions(text):
    """Yield each command of the console blocks, as a list of words, and its sample output."""
    for block in re.findall(r"```console\n(.*?)```", text, flags=re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield shlex.split(command), output


def labels_of(output):
    """Return the first cell of each line, without numbers and rules: what stays for other logs."""
    found = set()
    for line in output.splitlines():
        if line.startswith("|") or line.endswith(
            "."
        ):  # logged text; advice, which depends on the log
            continue
        cell = re.split(r"  +", re.sub(r"[─━╺╸]+", "", line).strip())[0]
        found.add(re.sub(r"\d[\d,.]*", "#", cell))
    return found


def headings_of(output):
    """Return the cells of each line above a rule: the columns of the tables."""
    lines = output.splitlines()
    return {
        tuple(re.split(r"  +", line.strip()))
        for line, below in pairwise(lines)
        if below.strip() and not below.strip().strip("─")
    }


class Person(Screen):
    """A terminal at which a person judges fourteen answers, skips one, and quits."""

    def __init__(self):
        self.console = Console(stderr=True, highlight=False, markup=False, width=80, height=24)
        self._drawn = True
        self.keys = iter("gsb" + "gbbg" * 3 + "q")

    def read_key(self):
        return next(self.keys)


@pytest.fixture
def folder(workspace, tmp_path, monkeypatch):
    """The files that the page names, in the working directory."""
    train, held_out = (
        pd.read_json(path, lines=True) for path in (workspace.train, workspace.held_out)
    )
    for log in (train, held_out):
        rated = log.index[log["feedback"].notna()]
        log["asked"] = log.index.isin(rated[::3])
        rng = np.random.default_rng(0)
        for name, share in (("copied", 0.3), ("regenerated", 0.2)):
            log[name] = rng.random(len(log)) < share
    half = len(train) // 2
    for name, rows in {
        "train": train,
        "held_out": held_out,
        "october": train[: half + 10],
        "november": train[half:],
        "rows": held_out[["prompt", "completion"]],
    }.items():
        rows.to_json(tmp_path / f"{name}.jsonl", orient="records", lines=True, date_format="iso")
    (tmp_path / "cache").symlink_to(workspace.cache)  # of the same texts, for time
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.SkcausalrmWarning")
def test_every_command_of_the_page_runs(folder, workspace, run, monkeypatch):
    monkeypatch.setattr(sys.modules["skcausalrm.cli.label"], "Screen", Person)
    names = []
    for words, sample in sessions(PAGE.read_text(encoding="utf-8")):
        assert words[0] == "skcausalrm"
        name, arguments = words[1], words[2:]
        names.append(name)
        if name in NOT_RUN:
            continue
        target = arguments[arguments.index(">") + 1] if ">" in arguments else None
        arguments = arguments[: arguments.index(">")] if target else arguments
        cached = "--cache-dir" in arguments or name not in ("fit", "evaluate", "score")
        cache = [] if cached else ["--cache-dir", "cache"]
        result = run(name, *arguments, *cache)
        assert result.exit_code == 0, (words, result.stderr)
        if target:
            Path(target).write_text(result.stdout)
        missing = labels_of(sample) - labels_of(result.stdout + result.stderr)
        assert not missing, (words, missing)
        assert headings_of(sample) <= headings_of(result.stdout), words
    assert {"fit", "label", "evaluate", "score", "export"} <= set(names)
    for written in ("model_november", "labels.jsonl", "scores.json", "scored.jsonl"):
        assert (folder / written).exists()
    code = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    variables = {}
    # columns of the small encoder
    exec(compile(code.group(1).replace("769", "65"), str(PAGE), "exec"), variables)
    assert variables["RewardScorer"].load("reward.onnx").predict(np.zeros((3, 65))).shape == (3,)


def test_the_page_names_every_command():
    from skcausalrm.cli import app

    text = PAGE.read_text(encoding="utf-8")
    for command in app.registered_commands:
        assert f"`{command.callback.__name__}" in text
