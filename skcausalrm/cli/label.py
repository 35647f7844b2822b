"""``skcausalrm label``: a person judges answers drawn at random, one key each."""

from __future__ import annotations

import shlex
from collections import deque
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .._utils._extras import import_extra
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
        int | None,
        typer.Option(
            "--n",
            min=1,
            help="Answers to judge, not counting skipped ones. Default: 50; 20 of a top-up.",
            show_default=False,
        ),
    ] = None,
    top_up: Annotated[
        bool,
        typer.Option(
            "--top-up",
            help="Say whether more are due, as labels age, and judge them: of the last 90 days, "
            "half of them unrated, the others liked and disliked.",
        ),
    ] = False,
    serve: Annotated[
        bool,
        typer.Option("--serve", help="Judge on a local page, also several reviewers at a time."),
    ] = False,
    twice: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="With --serve: share of the answers that two reviewers judge."
        ),
    ] = 0.2,
    host: Annotated[str, typer.Option(help="With --serve: address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="With --serve: port; 0 takes a free one.")
    ] = 8001,
    random_state: Annotated[int, typer.Option(help="Seed of the random order of answers.")] = 0,
    as_json: options.AsJson = False,
) -> None:
    """Judge answers of a feedback log, drawn at random, for `fit --verified FILE`.

    Rated and unrated answers are drawn alike, and verified ones are left out.
    The users' feedback is hidden, because it would sway the judge.
    A prompt's second answer comes after every prompt has had one.

    Keys: g good, b bad, s skip (another answer is drawn instead), u undo,
    m more (the whole of a long text), q quit.

    With --serve, reviewers judge on a page that the printed address opens, with the same keys.

    Each judgement is saved at once: the same command continues where the
    last one stopped, also when the logs have grown. FILE holds the texts.
    """
    if out.suffix != ".jsonl":
        raise ValueError(f"--out {out} must end in .jsonl, because it holds JSON lines: rename it.")
    options.check_parent(out)

    if serve:
        for package in ("fastapi", "uvicorn"):
            import_extra(package, extra="serve", purpose="label --serve")

    from ..datasets._labels import read_judgements, read_labels
    from ..datasets._top_up import BATCH, HALF_LIFE, open_batch, utc_now
    from ._logs import join_names, read_frame

    judgements = read_judgements(out, missing_ok=True)
    labels = read_labels(out, missing_ok=True)
    if top_up and (not_due := _not_due(labels, out, n or BATCH)) is not None:
        if as_json:
            print_json({"labels": str(out), **not_due, "warnings": ctx.obj})
        else:
            typer.echo(f"{out}: {_said(not_due)}")
        return
    progress(f"reading {join_names(logs)}")
    frame = read_frame(logs, **options.of_logs(ctx))
    own = {key for key, reviewer in judgements if not reviewer}
    n = n or (BATCH if top_up else 50)
    session = Session.start(frame, labels, out, n, random_state, own=own)
    wanted, recent = session.n - session.n_judged, ""
    if top_up:
        session.top_up(frame, labels, n, now := utc_now())
        wanted = n - sum(open_batch(labels, now, n)[1].values())
        recent = f" of the last {HALF_LIFE} days"
    if (missing := wanted - session.left) > 0:
        progress(
            f"{join_names(logs)} has {session.left} more answers{recent} to judge, {missing} too "
            f"few for --n {n}"
        )
    if serve:
        result = _serve(session, frame, judgements, twice=twice, host=host, port=port)
    else:
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


def _not_due(labels: pd.DataFrame, out: Path, n: int) -> dict[str, Any] | None:
    """Return why no more labels are due, or None if they are; print what they are worth."""
    from ..datasets._top_up import ENOUGH, freshness, open_batch, utc_now

    now = utc_now()
    found = freshness(labels, now)
    if not found.n:
        raise ValueError(
            f"{out} has no judged answer that could age: judge the first fifty without --top-up."
        )
    facts = {
        "judged": found.n,
        "fresh": round(found.fresh, 1),
        "due": found.due <= now,
        "due_date": found.due.date().isoformat(),
    }
    begun = sum(open_batch(labels, now, n)[1].values())
    if not (facts["due"] or begun):
        return facts
    progress(f"{_said(facts)} (enough are {ENOUGH})" + f"; {begun} of {n} are judged" * (begun > 0))
    return None


def _said(facts: dict[str, Any]) -> str:
    when = "more are due" if facts["due"] else f"more are due on {facts['due_date']}"
    return (
        f"{facts['judged']} judged answers count as {facts['fresh']:.0f} of today, because one of "
        f"90 days ago counts half; {when}"
    )


def _serve(
    session: Session, frame: pd.DataFrame, judgements: dict, *, twice: float, host: str, port: int
) -> dict[str, int]:
    """Let reviewers judge on a page until a signal, and return the counts."""
    from ..serving._label_app import create_label_app, new_token
    from ._label_desk import Desk
    from ._server import is_loopback, listen, loopback_names
    from ._server import run as run_server

    desk = Desk(
        frame,
        session.path,
        session.n + session.n_of_others,
        session.waiting,
        judgements,
        twice=twice,
        top_up=session.facts,
    )
    token = new_token()
    names = loopback_names(host) if is_loopback(host) else None
    listening = listen(host, port)
    progress("open the address in a browser; reviewers share it; Ctrl-C stops")
    app = create_label_app(desk, token, names)
    run_server(app, listening, purpose="label --serve", path=f"/#{token}")
    return desk.counts()


@dataclass
class Session:
    """State of the judging; every change is written to the file first.

    Attributes
    ----------
    done : list of (int, 1.0, 0.0 or None)
        Rows in the order of judging, with the verdict; None is skipped.
    waiting : deque of int
        Rows to ask about, the next one first.
    n_of_others : int
        Answers that named reviewers have judged on the page: they count, and cannot be undone here.
    facts : dict of int to dict
        What to keep with the label of a row of a top-up.
    """

    path: Path
    n: int
    keys: Any
    prompts: list[str]
    answers: list[str]
    done: list[tuple[int, float | None]]
    waiting: deque[int]
    n_of_others: int = 0
    facts: dict[int, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def start(
        cls,
        frame: pd.DataFrame,
        labels: pd.DataFrame,
        path: Path,
        n: int,
        random_state: int,
        own: Collection[str] | None = None,
    ) -> Session:
        """Return a session that continues after the labels, `own` being those that it may undo.

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
        found = [
            (key, (row_of[key], None if np.isnan(value) else value))
            for key, value in labels["verified"].items()
            if key in row_of
        ]
        done = [verdict for key, verdict in found if own is None or key in own]
        n_judged = sum(verdict is not None for _, (_, verdict) in found)
        n_of_others = n_judged - sum(verdict is not None for _, verdict in done)
        order = draw_answers(frame, labels, random_state=random_state, keys=keys)
        texts = answer_texts(frame)
        waiting = deque(order.tolist())
        return cls(path, max(0, n - n_of_others), keys, *texts, done, waiting, n_of_others)

    def top_up(self, frame: pd.DataFrame, labels: pd.DataFrame, n: int, now: datetime) -> None:
        """Ask about the answers of a top-up alone."""
        from ..datasets._top_up import draw_top_up

        drawn = draw_top_up(frame, list(self.waiting), labels, n, now)
        self.waiting, self.facts = deque(drawn.order.tolist()), drawn.facts
        self.n = self.n_judged + drawn.wanted

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
            top_up=self.facts.get(row),
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
