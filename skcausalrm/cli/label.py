"""``skcausalrm label``: a person judges answers drawn at random, one key each."""

from __future__ import annotations

import shlex
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import _options as options
from ._console import print_json, progress
from ._screen import Screen

if TYPE_CHECKING:
    import pandas as pd

_NAMES = {1.0: "good", 0.0: "bad", None: "skipped"}
_VERDICTS = {"g": 1.0, "b": 0.0, "s": None}


@options.reads_logs(without=["asked_name", *options.SOURCES])
def label(
    ctx: typer.Context,
    logs: options.Logs,
    out: Annotated[Path, typer.Option(help="Label file (.jsonl) to create or to continue.")],
    n: Annotated[
        int, typer.Option("--n", min=1, help="Answers to judge, not counting skipped ones.")
    ] = 50,
    random_state: Annotated[int, typer.Option(help="Seed of the random order of answers.")] = 0,
    as_json: options.AsJson = False,
) -> None:
    """Judge answers of a feedback log, drawn at random, for `fit --verified FILE`.

    Rated and unrated answers are drawn alike, and verified ones are left out.
    The users' feedback is hidden, because it would sway the judge.
    A prompt's second answer comes after every prompt has had one.

    Keys: g good, b bad, s skip (another answer is drawn instead), u undo,
    m more (the whole of a long text), q quit.

    Each judgement is saved at once: the same command continues where the
    last one stopped, also when the logs have grown. FILE holds the texts.
    """
    if out.suffix != ".jsonl":
        raise ValueError(f"--out {out} must end in .jsonl, because it holds JSON lines: rename it.")
    options.check_parent(out)

    from ..datasets._labels import read_labels
    from ._logs import join_names, read_frame

    judged = read_labels(out, missing_ok=True)
    progress(f"reading {join_names(logs)}")
    frame = read_frame(logs, **options.of_logs(ctx))
    session = Session.start(frame, judged, out, n, random_state)
    if (missing := n - session.n_judged - session.left) > 0:
        progress(
            f"{join_names(logs)} has {session.left} more answers to judge, {missing} too few for "
            f"--n {n}"
        )
    if session.left:
        with suppress(KeyboardInterrupt):  # between keys
            run(session, Screen())
    result = session.counts()
    if as_json:
        print_json({"labels": str(out), **result, "warnings": ctx.obj})
        return
    line = f"{out}: " + ", ".join(f"{count} {name}" for name, count in result.items())
    if result["left"]:
        line += " (the same command continues)"
    if result["good"] + result["bad"]:
        chosen = ctx.params
        given: dict[str, list] = {
            "--verified": [out, *(chosen["verified"] or ())],
            "--out": ["MODEL_DIR"],
            "--scores": chosen["scores"] or [],
            "--format": [chosen["format"]] * (chosen["format"] != "auto"),
            "--feedback-name": [chosen["feedback_name"]] * (chosen["feedback_name"] is not None),
        }  # without the judge score, which fit takes with --method dr alone
        words = [
            *logs,
            *(word for name in given for value in given[name] for word in (name, value)),
        ]
        line += f"; next: skcausalrm fit {shlex.join(map(str, words))}"
    typer.echo(line)


@dataclass
class Session:
    """State of the judging; every change is written to the file first.

    Attributes
    ----------
    done : list of (int, 1.0, 0.0 or None)
        Rows in the order of judging, with the verdict; None is skipped.
    waiting : deque of int
        Rows to ask about, the next one first.
    """

    path: Path
    n: int
    keys: Any
    prompts: list[str]
    answers: list[str]
    done: list[tuple[int, float | None]]
    waiting: deque[int]

    @classmethod
    def start(
        cls, frame: pd.DataFrame, labels: pd.DataFrame, path: Path, n: int, random_state: int
    ) -> Session:
        """Return a session that continues after the labels.

        Warns
        -----
        DataLossWarning
            If the frame lacks the texts of some labels; these are not counted.
        """
        import numpy as np

        from ..datasets._labels import answer_keys, answer_texts, draw_answers, match_labels

        keys = answer_keys(frame)
        match_labels(frame, labels, keys=keys)
        row_of = {key: row for row, key in reversed(list(enumerate(keys)))}
        done = [
            (row_of[key], None if np.isnan(value) else value)
            for key, value in labels["verified"].items()
            if key in row_of
        ]
        order = draw_answers(frame, labels, random_state=random_state, keys=keys)
        return cls(path, n, keys, *answer_texts(frame), done, deque(order.tolist()))

    @property
    def n_judged(self) -> int:
        return sum(verdict is not None for _, verdict in self.done)

    @property
    def left(self) -> int:
        return max(0, min(self.n - self.n_judged, len(self.waiting)))

    def judge(self, verdict: float | None) -> None:
        """Record a verdict on the next answer."""
        row = self.waiting[0]
        self._append(row, verdict, skipped=verdict is None)
        self.done.append((self.waiting.popleft(), verdict))

    def undo(self) -> None:
        """Withdraw the last verdict; its answer is the next one again."""
        self._append(self.done[-1][0], None)
        self.waiting.appendleft(self.done.pop()[0])

    def _append(self, row: int, verdict: float | None, *, skipped: bool = False) -> None:
        from ..datasets._labels import append_label

        append_label(
            self.path,
            self.keys[row],
            verdict,
            skipped=skipped,
            prompt=self.prompts[row],
            completion=self.answers[row],
        )

    def counts(self) -> dict[str, int]:
        """Return the numbers of good, bad, skipped and remaining answers."""
        verdicts = [verdict for _, verdict in self.done]
        return {
            **{name: verdicts.count(verdict) for verdict, name in _NAMES.items()},
            "left": self.left,
        }


def run(session: Session, screen: Screen) -> None:
    """Ask until enough answers are judged and a key confirms it, or the person quits."""
    unfolded = False
    while True:
        _draw(session, screen, unfolded)
        key = screen.read_key()
        if key == "m":
            unfolded = not unfolded
            continue
        if key == "u" and session.done:
            session.undo()
        elif key == "q" or not session.left:
            return
        elif key in _VERDICTS:
            session.judge(_VERDICTS[key])
        else:
            continue
        unfolded = False


def _draw(session: Session, screen: Screen, unfolded: bool) -> None:
    keys = {"u": "undo", "q": "quit"}
    if session.left:
        row = session.waiting[0]
        screen.show(session.prompts[row], session.answers[row], unfolded=unfolded)
        more = "less" if unfolded else "more"
        keys = {"g": "good", "b": "bad", "s": "skip", "u": "undo", "m": more, "q": "quit"}
    n_wanted = session.n_judged + session.left
    remark = f"{session.n_judged} of {n_wanted}"
    if n_skipped := session.counts()["skipped"]:
        remark += f", {n_skipped} skipped"
    if session.done:
        remark += f"; the last one: {_NAMES[session.done[-1][1]]}"
    screen.show_progress(session.n_judged, n_wanted, remark)
    screen.show_keys("Is the answer good?" if session.left else "Done.", keys)
