"""`skcausalrm label` in a real pseudo-terminal: keys in, screens out, kill and resume."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections import deque
from datetime import UTC, datetime

import pandas as pd
import pytest
from rich.console import Console

from skcausalrm.cli._screen import fold, harmless
from skcausalrm.cli.label import Session
from skcausalrm.datasets import load_feedback
from skcausalrm.datasets._labels import answer_keys, append_label, match_labels, read_labels
from skcausalrm.exceptions import DataLossWarning

pty = pytest.importorskip("pty")
termios = pytest.importorskip("termios")

SECONDS = 60


class Terminal:
    """The command in a terminal, and what a person at it sees and types."""

    def __init__(self, *arguments, size=(24, 80)):
        self.master, slave = pty.openpty()
        termios.tcsetwinsize(slave, size)
        hidden = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "skcausalrm", "label", *map(str, arguments)],
            stdin=slave,
            stderr=slave,
            stdout=subprocess.PIPE,
            env={k: v for k, v in os.environ.items() if k not in hidden} | {"TERM": "xterm"},
        )
        os.close(slave)
        self.seen = ""
        self.screen = self.wait()

    def wait(self):
        """Return what is drawn until the command waits for a key or ends."""
        drawn, end = b"", time.monotonic() + SECONDS
        while time.monotonic() < end:
            if select.select([self.master], [], [], 0.02)[0]:
                try:
                    drawn += os.read(self.master, 65536)
                except OSError:  # the command has ended
                    break
            # Raw mode is set after the screen is drawn, and what was typed before is dropped.
            elif drawn and not termios.tcgetattr(self.master)[3] & termios.ICANON:
                break
        else:
            pytest.fail(f"no screen after {SECONDS} s, but {drawn!r}")
        text = drawn.decode()
        self.seen += text
        return text

    def press(self, keys):
        for key in keys:
            os.write(self.master, key.encode())
            self.screen = self.wait()
        return self.screen

    def close(self, keys="q"):
        """Press the last keys and return stdout; the exit status must be 0."""
        self.press(keys)
        stdout, _ = self.process.communicate(timeout=SECONDS)
        assert self.process.returncode == 0, self.seen
        os.close(self.master)
        return stdout.decode()

    def kill(self):
        self.process.kill()
        self.process.communicate(timeout=SECONDS)
        os.close(self.master)


def write_log(path, n, **extra):
    """Answers to n // 2 prompts; a third liked, a third disliked, a third unrated."""
    rows = [
        {
            "prompt": f"Question {i // 2}?",
            "completion": f"Answer number {i}.",
            "feedback": [1, 0, None][i % 3],
            "model": "hidden-model",
            "comment": "hidden-comment",
            **extra,
        }
        for i in range(n)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def verdicts(path):
    return read_labels(path)["verified"].to_dict()


def test_killed_half_way_and_resumed_on_a_grown_log(tmp_path):
    log, out = write_log(tmp_path / "log.jsonl", 20), tmp_path / "labels.jsonl"
    first = Terminal(log, "--out", out, "--n", 8)
    assert "0 of 8" in first.screen
    asked = []
    progress = {"g": "1 of 8", "b": "2 of 8", "s": "2 of 8, 1 skipped", "G": "3 of 8, 1 skipped"}
    for key, numbers in progress.items():
        asked.append(answer_on(first.screen))
        assert numbers in first.press(key)
    pending = answer_on(first.screen)
    first.kill()
    found = read_labels(out)
    assert found["completion"].tolist() == asked
    assert found["verified"].fillna(-1).tolist() == [1, 0, -1, 1]
    with out.open("ab") as file:
        file.write(b'{"key": "half of a li')  # as if the kill had come a moment later

    same = Terminal(log, "--out", out, "--n", 8)
    assert answer_on(same.screen) == pending
    assert "line 5" in same.screen  # where the cut line is
    same.close()

    write_log(log, 30)
    second = Terminal(log, "--out", out, "--n", 8, "--json")
    assert "3 of 8, 1 skipped; the last one: good" in second.screen
    while "Done." not in second.screen:
        asked.append(answer_on(second.screen))
        second.press("b")
    result = json.loads(second.close())
    assert (result["good"], result["bad"], result["skipped"], result["left"]) == (2, 6, 1, 0)
    assert "cut off" in result["warnings"][0]
    assert len(set(asked)) == len(asked) == 9
    prompts = {int(answer.split()[-1][:-1]) // 2 for answer in asked}
    assert len(prompts) == 9  # one answer of each
    for hidden in ("hidden-", "feedback", "1.0"):
        assert hidden not in first.seen + second.seen

    with pytest.warns(DataLossWarning):
        labels = read_labels(out)
    verified, n_unmatched = match_labels(load_feedback(log), labels)
    assert n_unmatched == 0
    assert [int((verified == value).sum()) for value in (1, 0)] == [2, 6]


def answer_on(screen):
    return next(
        line.split("| ")[1].replace("\x1b[0m", "").strip()
        for line in screen.splitlines()
        if "Answer number" in line
    )


def test_undo_takes_back_what_an_earlier_session_judged(tmp_path):
    log, out = write_log(tmp_path / "log.jsonl", 12), tmp_path / "labels.jsonl"
    first = Terminal(log, "--out", out, "--n", 3)
    answers = [answer_on(first.screen)]
    answers.append(answer_on(first.press("g")))
    summary = first.close("b\x04")  # Ctrl-D
    assert summary.startswith(
        f"{out}: 1 good, 1 bad, 0 skipped, 1 left (the same command continues)"
    )
    assert f"skcausalrm fit {log} --verified {out} --out MODEL_DIR" in summary
    assert summary.count("\n") == 1

    second = Terminal(log, "--out", out, "--n", 3)
    third = answer_on(second.screen)
    assert answer_on(second.press("u")) == answers[1]
    assert "1 of 3; the last one: good" in second.screen
    assert answer_on(second.press("u")) == answers[0]
    assert answer_on(second.press("u")) == answers[0]  # there is no more to undo
    assert answer_on(second.press("b")) == answers[1]
    assert answer_on(second.press("G")) == third
    assert "Done." in second.press("g")
    assert answer_on(second.press("u")) == third  # the last one too can be taken back
    assert second.close("b ").startswith(f"{out}: 1 good, 2 bad, 0 skipped, 0 left;")
    assert read_labels(out)["completion"].tolist() == [*answers, third]
    assert list(verdicts(out).values()) == [0, 1, 0]
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["verified"] for line in lines] == [1, 0, None, None, 0, 1, 1, None, 0]


def test_logged_text_cannot_command_the_terminal_and_long_text_unfolds(tmp_path):
    answer = "\x1b]0;owned\x07 \x9b2J \u202edesrever\u202c \r\n" + "".join(
        f"line {i} 日本語\n" for i in range(200)
    )
    log, out = tmp_path / "log.jsonl", tmp_path / "labels.jsonl"
    rows = [
        {"prompt": "", "completion": answer, "feedback": None},
        {"prompt": "", "completion": answer, "feedback": 1},
    ]
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    terminal = Terminal(log, "--out", out, size=(20, 50))
    assert "has 1 more answers to judge, 49 too few for --n 50" in terminal.screen
    folded = terminal.screen
    assert "(empty)" in folded
    assert "line 199" in folded
    assert "line 100 " not in folded
    assert "m shows all" in folded
    assert "line 100 日本語" in terminal.press("m")
    assert "line 100 " not in terminal.press("m")
    terminal.close("\x03")  # Ctrl-C
    for command in ("\x1b]", "\x07", "\x9b", "\u202e", "\u202c"):
        assert command not in terminal.seen
    assert r"\x1b]0;owned\x07 \x9b2J \u202edesrever\u202c" in terminal.seen
    assert not out.exists()


def test_a_tiny_terminal_works(tmp_path):
    log, out = write_log(tmp_path / "log.jsonl", 4), tmp_path / "labels.jsonl"
    terminal = Terminal(log, "--out", out, "--n", 2, size=(3, 9))
    terminal.press("gxu\x1b[A")
    termios.tcsetwinsize(terminal.master, (1, 1))  # the person shrinks it
    assert "2 left" in terminal.close("gxu\x1b[A" + "q")
    assert verdicts(out) == {}


def test_the_person_hanging_up_loses_nothing(tmp_path):
    log, out = write_log(tmp_path / "log.jsonl", 4), tmp_path / "labels.jsonl"
    terminal = Terminal(log, "--out", out)
    terminal.press("g")
    os.close(terminal.master)
    stdout, _ = terminal.process.communicate(timeout=SECONDS)
    assert terminal.process.returncode == 0
    assert b"1 good" in stdout
    assert list(verdicts(out).values()) == [1]


def test_without_a_terminal_there_is_one_sentence(run, tmp_path):
    log, out = write_log(tmp_path / "log.jsonl", 4), tmp_path / "labels.jsonl"
    result = run("label", log, "--out", out)
    assert result.exit_code == 2
    error = result.stderr.splitlines()[-1]
    assert error.startswith("error: A person judges answers in a terminal")
    assert result.stderr.count("error") == 1
    assert result.stdout == ""
    assert not out.exists()


def test_a_complete_file_needs_no_terminal(run, tmp_path):
    log, out = write_log(tmp_path / "log.jsonl", 12), tmp_path / "labels.jsonl"
    frame = load_feedback(log)
    session = Session.start(frame, read_labels(out, missing_ok=True), out, 2, 0)
    session.judge(1.0)
    session.judge(0.0)
    result = run("label", log, "--out", out, "--n", 2, "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert [found[name] for name in ("good", "bad", "skipped", "left")] == [1, 1, 0, 0]


@pytest.mark.parametrize(
    ("out", "sentence"),
    [
        ("labels.csv", "must end in .jsonl"),
        ("no/labels.jsonl", "is no folder"),
        ("log.jsonl", "is not a label"),
    ],
)
def test_a_file_that_cannot_take_labels_is_refused(run, tmp_path, out, sentence):
    log = write_log(tmp_path / "log.jsonl", 4)
    before = log.read_bytes()
    result = run("label", log, "--out", tmp_path / out)
    assert result.exit_code == 2
    assert sentence in result.stderr.splitlines()[-1]
    assert log.read_bytes() == before


def test_labels_of_texts_that_are_gone_do_not_count_as_judged(tmp_path):
    log, out = write_log(tmp_path / "log.jsonl", 12), tmp_path / "labels.jsonl"
    frame = load_feedback(log)
    session = Session.start(frame, read_labels(out, missing_ok=True), out, 4, 0)
    for _ in range(2):
        session.judge(1.0)
    gone = [row for row, _ in session.done][:1]
    rest = frame.drop(index=gone).reset_index(drop=True)
    with pytest.warns(DataLossWarning, match="1 of 2"):
        later = Session.start(rest, read_labels(out), out, 4, 0)
    assert (later.n_judged, later.left) == (1, 3)
    assert isinstance(later.waiting, deque)


@pytest.mark.parametrize("rows", [1, 2, 3, 8])
@pytest.mark.parametrize("width", [1, 2, 7, 40])
def test_folded_text_fits(rows, width):
    console = Console(width=200)
    for text in ("", "short", "word " * 300, "x" * 5000, "\n" * 500, "日本語" * 300, "a\n" * rows):
        lines = fold(text, console, width, rows)
        assert len(lines) <= rows
        if len(lines) < rows:
            assert not any("m shows all" in line.plain for line in lines)


def test_text_of_all_scripts_is_left_alone():
    for text in ("naïve 日本語 👩‍👩‍👧 שלום مرحبا\n\tcode", ""):
        assert harmless(text) == text
    assert harmless("a\rb\x00\x7f\x85\u2028") == r"a\rb\x00\x7f\x85\u2028"


@pytest.fixture
def old_labels(tmp_path):
    """A log of recent answers, and twelve labels of half a year ago."""
    log, out = write_log(tmp_path / "log.jsonl", 60), tmp_path / "labels.jsonl"
    frame = load_feedback(log)
    session = Session.start(frame, read_labels(out, missing_ok=True), out, 12, 0)
    for _ in range(12):
        session.judge(1.0)
    year = str(datetime.now(UTC).year)
    out.write_text(out.read_text().replace(f'"time": "{year}', f'"time": "{int(year) - 1}'))
    return log, out


def test_a_top_up_draws_from_strata_and_keeps_their_probability(old_labels):
    log, out = old_labels
    frame, labels = load_feedback(log), read_labels(out)
    session = Session.start(frame, labels, out, 50, 0)
    session.top_up(frame, labels, 20, datetime.now(UTC))
    assert (session.n_judged, session.left) == (12, 20)
    session.judge(0.0)
    line = json.loads(out.read_text().splitlines()[-1])
    assert line["top_up"]["stratum"] in ("unrated", "liked", "disliked")
    assert 0 < line["top_up"]["probability"] <= 1
    session.undo()
    assert read_labels(out)["top_up"].isna().all()


def test_a_top_up_that_is_not_due_says_when(run, old_labels, tmp_path):
    log, out = old_labels
    due = run("label", log, "--out", out, "--top-up")
    assert due.exit_code == 2  # there is no terminal
    assert "12 judged answers count as" in due.stderr
    frame = load_feedback(log)
    session = Session.start(frame, read_labels(out), out, 60, 0)
    for _ in range(40):
        session.judge(1.0)
    found = run("label", log, "--out", out, "--top-up")
    assert found.exit_code == 0, found.stderr
    assert "52 judged answers count as 4" in found.stdout
    assert "more are due on 2" in found.stdout
    facts = json.loads(run("label", log, "--out", out, "--top-up", "--json").stdout)
    assert facts["due"] is False
    none = run("label", log, "--out", tmp_path / "new.jsonl", "--top-up")
    assert none.exit_code == 2
    assert "no judged answer that could age" in none.stderr


def test_a_top_up_of_too_few_answers_says_so(run, old_labels):
    log, out = old_labels
    judged = set(read_labels(out).index)
    lines = zip(
        log.read_text().splitlines(keepends=True), answer_keys(load_feedback(log)), strict=True
    )
    lines = sorted(lines, key=lambda line: line[1] not in judged)
    log.write_text("".join(line for line, _ in lines[: len(judged) + 3]))
    found = run("label", log, "--out", out, "--top-up")
    assert "has 3 more answers of the last 90 days to judge, 17 too few for --n 20" in found.stderr


def test_labels_of_a_top_up_weigh_by_their_probability(old_labels):
    from skcausalrm.cli._logs import read_log

    log, out = old_labels
    assert read_log([log], verified=[str(out)]).verified_propensity is None
    frame, labels = load_feedback(log), read_labels(out)
    session = Session.start(frame, labels, out, 50, 0)
    session.top_up(frame, labels, 20, datetime.now(UTC))
    for _ in range(20):
        session.judge(1.0)
    found = read_log([log], verified=[str(out)])
    judged = found.frame["verified"].notna()
    assert judged.sum() == 32
    assert 0 < found.verified_propensity.min() < found.verified_propensity.max() == 1
    weight = 1 / found.verified_propensity[judged]
    topped_up = read_labels(out)["top_up"].notna().to_numpy()
    assert topped_up.sum() == 20
    keys = pd.Series(weight, index=answer_keys(found.frame)[judged])[read_labels(out).index]
    assert keys[topped_up].mean() == pytest.approx(keys[~topped_up].mean())
    assert keys[~topped_up].nunique() == 1
    assert keys[topped_up].nunique() > 1


def test_what_reviewers_have_judged_counts_in_the_terminal_too(tmp_path):
    log, out = write_log(tmp_path / "log.jsonl", 12), tmp_path / "labels.jsonl"
    frame = load_feedback(log)
    keys = answer_keys(frame)
    for row, reviewer in ((0, "Anna"), (1, "Ben"), (2, "")):
        append_label(out, keys[row], 1, reviewer=reviewer)
    session = Session.start(frame, read_labels(out), out, 8, 0, own={keys[2]})
    assert [row for row, _ in session.done] == [2]
    assert (session.n_judged, session.left, session.n_of_others) == (1, 5, 2)
    assert not {0, 1, 2} & set(session.waiting)


def test_the_page_is_served_until_a_signal(tmp_path):
    httpx = pytest.importorskip("httpx")
    pytest.importorskip("uvicorn")
    log, out = write_log(tmp_path / "log.jsonl", 8), tmp_path / "labels.jsonl"
    command = ["label", log, "--out", out, "--n", 4, "--serve", "--port", 0]
    process = subprocess.Popen(
        [sys.executable, "-m", "skcausalrm", *map(str, command)], stdout=subprocess.PIPE, text=True
    )
    try:
        address, _, token = process.stdout.readline().strip().partition("/#")
        assert address.startswith("http://127.0.0.1:")
        client = httpx.Client(base_url=address, headers={"X-Token": token})
        card = client.post("/next", json={"reviewer": "Anna"}).json()["card"]
        body = {"reviewer": "Anna", "key": card["key"], "verdict": "bad"}
        assert client.post("/judge", json=body).json()["judged"] == 1
        process.terminate()
        stdout, _ = process.communicate(timeout=SECONDS)
    finally:
        process.kill()
    assert process.returncode == 0
    assert "0 good, 1 bad, 0 skipped, 3 left (the same command continues)" in stdout
    assert verdicts(out) == {card["key"]: 0}
