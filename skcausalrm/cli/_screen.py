"""Screen of `label`: escapes and folds logged text, draws it, reads keys."""

import re
import sys

import typer
from rich.console import Console
from rich.progress_bar import ProgressBar
from rich.rule import Rule
from rich.text import Text

_MAX_WIDTH = 100  # columns; longer lines are hard to read
_CHROME = 8  # lines of a screen that hold neither prompt nor answer
_MIN_LINES = 4  # lines that a prompt gets at least

# Control characters, and characters that reverse the reading direction of the text after them.
_HARMFUL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u2028-\u202e\u2066-\u2069]")


def harmless(text: str) -> str:
    r"""Return the text with control characters spelled out, so that a terminal obeys none.

    Newlines and tabs stay.

    Examples
    --------
    >>> harmless("one\r\ntwo \x1b[2J three")
    'one\ntwo \\x1b[2J three'
    """
    return _HARMFUL.sub(
        lambda found: found.group().encode("unicode_escape").decode(), text.replace("\r\n", "\n")
    )


def fold(text: str, console: Console, width: int, rows: int) -> list[Text]:
    """Wrap a text into at most `rows` lines; a longer text keeps its beginning and end."""

    def wrap(part: str) -> list[Text]:
        return list(Text(part).wrap(console, width, tab_size=4))

    lines = text.split("\n")
    area = rows * width
    # Wrapping is slow: only the part of a huge text that can be shown is wrapped.
    if len(lines) <= rows and len(text) <= area and len(wrapped := wrap(text)) <= rows:
        return wrapped
    n_tail = rows // 3
    head = wrap("\n".join(lines[:rows])[:area])[: rows - n_tail - 1]
    tail = wrap("\n".join(lines[-rows:])[-area:])[-n_tail:] if n_tail else []
    return [*head, Text(f"... m shows all {len(text):,} characters ...", style="yellow"), *tail]


class Screen:
    """Terminal that shows prompts and answers on stderr and reads keys from stdin.

    Raises
    ------
    ValueError
        If stdin or stderr is no terminal.
    """

    def __init__(self) -> None:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise ValueError(
                "A person judges answers in a terminal, and stdin or stderr is none: run the "
                "command in a terminal, pass --serve to judge on a page, or judge elsewhere and "
                "put 1 and 0 into a column 'verified' of the log."
            )
        self.console = Console(stderr=True, highlight=False, markup=False, emoji=False)
        self._drawn = False

    def read_key(self) -> str:
        """Wait for a key; Ctrl-C, Ctrl-D and a closed terminal count as "q"."""
        try:
            return (typer.getchar() or "q").lower()  # None: the terminal has gone
        except (KeyboardInterrupt, EOFError, OSError):
            return "q"

    def show(self, prompt: str, answer: str, *, unfolded: bool) -> None:
        """Draw one answer below its prompt."""
        console = self.console
        if self._drawn:  # the first screen keeps the warnings above it
            console.clear()
        self._drawn = True
        width = max(1, min(console.width, _MAX_WIDTH) - 2)
        prompt, answer = harmless(prompt), harmless(answer)
        limits = [sys.maxsize] * 2 if unfolded else self._share(prompt, answer, width)
        for title, text, rows in zip(("Prompt", "Answer"), (prompt, answer), limits, strict=True):
            console.print(Rule(title, align="left", style="cyan"), width=width + 2)
            self._print_body(text, width, rows)
        console.print()

    def _share(self, prompt: str, answer: str, width: int) -> list[int]:
        """Share the lines of the screen between prompt and answer; the answer gets more."""
        body = max(2 * _MIN_LINES, self.console.height - _CHROME)
        needs = [len(fold(text, self.console, width, body)) for text in (prompt, answer)]
        for_prompt = min(needs[0], max(_MIN_LINES, body // 3, body - needs[1]))
        return [for_prompt, body - for_prompt]

    def _print_body(self, text: str, width: int, rows: int) -> None:
        if not text.strip():
            self.console.print(Text("(empty)", style="dim"))
            return
        for line in fold(text, self.console, width, rows):
            # The bar distinguishes logged text from messages of this program.
            self.console.print(Text().append("| ", "dim").append(line), soft_wrap=True)

    def show_progress(self, n_judged: int, n_wanted: int, remark: str) -> None:
        """Draw a bar, its numbers and a remark."""
        width = min(self.console.width, _MAX_WIDTH)
        bar = ProgressBar(total=n_wanted, completed=n_judged, width=width // 3)
        self.console.print(bar, " ", remark, sep="", width=width)

    def show_keys(self, question: str, keys: dict[str, str]) -> None:
        """Draw a question and the meaning of each key."""
        line = Text().append(question, style="bold")
        for key, meaning in keys.items():
            line.append("  ").append(key, style="bold reverse").append(f" {meaning}")
        self.console.print(line, width=min(self.console.width, _MAX_WIDTH))
