"""Answers that several reviewers judge at the same time, into one label file."""

from __future__ import annotations

import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..datasets._agreement import agreements
from ..exceptions import InvalidInputError
from ._screen import harmless

if TYPE_CHECKING:
    import pandas as pd

# Seconds for which an answer that one reviewer looks at is kept from the others.
_LEASE = 600
_LONGEST_NAME = 60
_VERDICTS = {"good": 1.0, "bad": 0.0, "skip": None}


class Desk:
    """What is to be judged, and by whom; every change is written to the file first.

    New answers go to whoever is free, each to one reviewer. A share of them, told by their keys,
    goes to a second one as well, and tells how far reviewers agree. Where they are split, another
    one decides.

    Parameters
    ----------
    frame : DataFrame
        The log.
    path : Path
        Label file.
    n : int
        Answers to judge, not counting those that all skip.
    order : sequence of int
        Answers that nobody has judged, the next one first.
    judgements : dict
        As `read_judgements` returns them.
    twice : float, default=0.2
        Share of the answers that two reviewers judge.
    top_up : dict of int to dict, default=None
        What to keep with the label of a row.
    """

    def __init__(
        self,
        frame: pd.DataFrame,
        path: Path,
        n: int,
        order: Any,
        judgements: dict[tuple[str, str], Any],
        *,
        twice: float = 0.2,
        top_up: dict[int, dict[str, Any]] | None = None,
    ):
        from ..datasets._labels import answer_keys, answer_texts

        self.path, self.n, self.twice = path, n, twice
        self.keys = answer_keys(frame).tolist()
        self.prompts, self.answers = answer_texts(frame)
        self.row_of = {key: row for row, key in reversed(list(enumerate(self.keys)))}
        self.order = [int(row) for row in order]
        self.top_up = top_up or {}
        self.said = {
            who: record["verified"] for who, record in judgements.items() if who[0] in self.row_of
        }
        self._to_draw = {self.keys[row] for row in self.order}
        self._leases: dict[str, tuple[str, float]] = {}
        self._lock = threading.RLock()

    def next(self, reviewer: str) -> dict[str, Any]:
        """Return the answer that a reviewer judges next, or None, and counts."""
        with self._lock:
            reviewer = self._name(reviewer)
            key = self._next_key(reviewer)
            card = None
            if key is not None:
                self._leases[key] = (reviewer, time.monotonic() + _LEASE)
                row = self.row_of[key]
                texts = {"prompt": self.prompts[row], "answer": self.answers[row]}
                card = {"key": key, **{name: _plain(text) for name, text in texts.items()}}
            return {"card": card, "reviewer": reviewer, **self.progress(reviewer)}

    def judge(self, reviewer: str, key: str, verdict: str) -> dict[str, Any]:
        """Record a verdict ("good", "bad", "skip") and return the next answer.

        The same verdict again, by a key pressed twice or after a lost reply, is ignored; another
        one takes its place.

        Raises
        ------
        InvalidInputError
            If the answer or the verdict is unknown.
        """
        with self._lock:
            reviewer = self._name(reviewer)
            if key not in self.row_of or verdict not in _VERDICTS:
                raise InvalidInputError("There is no such answer or verdict: load the page again.")
            value, who = _VERDICTS[verdict], (key, reviewer)
            if who not in self.said or self.said[who] != value:
                self._append(key, value, reviewer, skipped=value is None)
                self.said.pop(who, None)  # the order is that of the last judgements, for undo
                self.said[who] = value
                self._leases.pop(key, None)
            return self.next(reviewer)

    def undo(self, reviewer: str) -> dict[str, Any]:
        """Withdraw a reviewer's last verdict; its answer is the next one again."""
        with self._lock:
            reviewer = self._name(reviewer)
            own = [key for key, who in self.said if who == reviewer]
            if own:
                self._append(own[-1], None, reviewer)
                del self.said[own[-1], reviewer]
                self._leases = {k: v for k, v in self._leases.items() if v[0] != reviewer}
                self._leases[own[-1]] = (reviewer, time.monotonic() + _LEASE)
            return self.next(reviewer)

    def progress(self, reviewer: str) -> dict[str, Any]:
        """Return counts, the reviewer's last verdict, and the agreement of every two reviewers."""
        own = [verdict for (_, who), verdict in self.said.items() if who == reviewer]
        names = {1: "good", 0: "bad", None: "skipped"}
        return {
            "judged": len(self._judged()),
            "wanted": self.n,
            "left": len(self._to_draw - {key for key, _ in self.said}),
            "own": Counter(names[verdict] for verdict in own),
            "last": names[own[-1]] if own else None,
            "agreement": [found._asdict() for found in agreements(self.said)],
        }

    def counts(self) -> dict[str, int]:
        """Return the numbers of good, bad and skipped verdicts, and of answers that are left."""
        verdicts = Counter(self.said.values())
        left = max(0, self.n - len(self._judged()))
        return {"good": verdicts[1], "bad": verdicts[0], "skipped": verdicts[None], "left": left}

    def _judged(self) -> set[str]:
        return {key for (key, _), verdict in self.said.items() if verdict is not None}

    def _next_key(self, reviewer: str) -> str | None:
        now = time.monotonic()
        held = {key: who for key, (who, until) in self._leases.items() if until > now}
        reviewers: dict[str, dict[str, float | None]] = {}
        for (key, who), verdict in self.said.items():
            reviewers.setdefault(key, {})[who] = verdict
        own = [key for key, who in held.items() if who == reviewer]
        own = [key for key in own if (key, reviewer) not in self.said]
        if own:  # the same one after the page is loaded again, or after undo
            return own[-1]
        judged = self._judged()
        for key, said in reviewers.items():
            verdicts = [verdict for verdict in said.values() if verdict is not None]
            once = len(verdicts) == len(said) == 1 and self._is_shared(key)
            split = len(verdicts) > 0 and 2 * sum(verdicts) == len(verdicts)
            if (once or split) and reviewer not in said and key not in held:
                return key
        pending = sum(key not in judged and who != reviewer for key, who in held.items())
        if len(judged) + pending >= self.n:
            return None
        free = (self.keys[row] for row in self.order)
        return next((key for key in free if key not in reviewers and key not in held), None)

    def _is_shared(self, key: str) -> bool:
        return int(key[:8], 16) < self.twice * 2**32

    def _append(
        self, key: str, verdict: float | None, reviewer: str, *, skipped: bool = False
    ) -> None:
        from ..datasets._labels import append_label

        row = self.row_of[key]
        append_label(
            self.path,
            key,
            verdict,
            skipped=skipped,
            prompt=self.prompts[row],
            completion=self.answers[row],
            reviewer=reviewer,
            top_up=self.top_up.get(row),
        )

    def _name(self, reviewer: str) -> str:
        name = " ".join(_plain(reviewer).split())
        if not 0 < len(name) <= _LONGEST_NAME:
            raise InvalidInputError(
                f"A reviewer needs a name of at most {_LONGEST_NAME} characters."
            )
        return name


def _plain(text: str) -> str:
    """Return text without control characters and lone surrogates, which no reply can hold."""
    return harmless(text).encode("utf-8", "replace").decode()
