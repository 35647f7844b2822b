"""Ranking of answers by the text that the encoder reads of a row: options of ConversationEncoder.

    python benchmarks/text_options.py [--data ../shared/data] [--cache DIR] [--out FILE]

Three sources with clean labels: real answers of 56 models to single prompts (good: the two upper
quintiles of a judge's preference), real answers of four chatbots in dialogs (good: at least half
of 30 people see no breakdown), and generated logs whose prompts are a system prompt, up to four
earlier turns, at times a pasted document, and the question (good: the true reward). A ridge is
fitted on the clean labels; AUROC is on groups (prompts, dialogs) that it has not seen. "Same
prompt" is the share of pairs of a good and a bad answer to one question that are ordered right:
the AUROC between groups also rewards a guess of how good the answers to a question are at large.

All options see the same rows and splits. Embeddings are cached: a run that was stopped continues.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import logit
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupShuffleSplit

from skcausalrm import ConversationEncoder
from skcausalrm.datasets import make_feedback_logs
from skcausalrm.exceptions import SkcausalrmWarning
from skcausalrm.heads import RidgeHead

ROOT = Path(__file__).resolve().parent.parent
OPTIONS: dict[str, dict[str, Any]] = {
    "pair, cut at the end": {"text": "pair", "long_texts": "cut"},
    "pair": {"text": "pair"},
    "pair, windows": {"text": "pair", "long_texts": "windows"},
    "last turn": {"text": "last_turn"},
    "last turn, windows": {"text": "last_turn", "long_texts": "windows"},
    "answer": {"text": "answer"},
    "answer, windows": {"text": "answer", "long_texts": "windows"},
    "apart": {"text": "apart"},
    "apart, windows": {"text": "apart", "long_texts": "windows"},
    "last turn, 128 tokens": {"text": "last_turn", "max_length": 128},
    "last turn, 512 tokens": {"text": "last_turn", "max_length": 512},
    "pair, 512 tokens": {"text": "pair", "max_length": 512},
}
_RULES = (
    "Answer in the language of the question.",
    "Never give legal, medical or financial advice; refer to a professional instead.",
    "Use short sentences, and lists where there are several steps.",
    "If you do not know something, say so and offer to open a ticket.",
    "Do not mention competitors, prices that are not published, or internal projects.",
    "Customers of the business plan are answered first and by name.",
    "Format code in blocks and name the language.",
    "Refunds within thirty days are granted without a question.",
    "Do not repeat the question, and do not praise it.",
    "Ask for the order number before you look up a delivery.",
    "Stay polite with rude customers, and end the chat after three insults.",
    "Dates are written as 2 March 2026 and times with their zone.",
)


@dataclass
class Source:
    """Rows with clean labels."""

    rows: list[tuple[Any, str]]
    good: np.ndarray
    groups: np.ndarray


def judged(data: Path, n_prompts: int = 150, per_prompt: int = 12) -> Source | None:
    path = data / "judged_responses.parquet"
    if not path.exists():
        return None
    table = pd.read_parquet(path)
    table["grade"] = logit(table["preference"].clip(1e-9, 1 - 1e-9))
    table = table[table["response"].str.strip() != ""]
    table = table[table["grade"].notna()]
    rng = np.random.default_rng(0)
    chosen = rng.choice(table["prompt_id"].unique(), n_prompts, replace=False)
    table = table[table["prompt_id"].isin(chosen)].sample(frac=1, random_state=0)
    table = table.groupby("prompt_id").head(per_prompt)
    rows = list(zip(table["prompt"], table["response"], strict=True))
    good = (table["grade"].rank(pct=True) > 0.6).to_numpy(dtype=int)
    return Source(rows, good, table["prompt_id"].to_numpy())


def dialogs(data: Path, n_dialogs: int = 250) -> Source | None:
    path = data / "real" / "dbdc3_answers.parquet"
    if not path.exists():
        return None
    table = pd.read_parquet(path)
    table = table[table["response"].str.strip() != ""]
    rng = np.random.default_rng(0)
    chosen = rng.choice(table["dialog"].unique(), n_dialogs, replace=False)
    rows, good, groups = [], [], []
    for dialog, part in table[table["dialog"].isin(chosen)].groupby("dialog", sort=False):
        history: list[dict[str, str]] = []
        for row in part.sort_values("turn").itertuples():
            turns = _turns(row.prompt)
            known = len(history)
            while known and history[-known:] != turns[:known]:
                known -= 1
            history = [*history, *turns[known:]]
            rows.append((list(history), row.response))
            good.append(2 * row.n_O >= row.n_O + row.n_T + row.n_X)
            groups.append(dialog)
    return Source(rows, np.array(good, dtype=int), np.array(groups))


def _turns(text: str) -> list[dict[str, str]]:
    """Return the messages of lines that begin with A: (assistant) or U: (user)."""
    messages: list[dict[str, str]] = []
    for line in text.split("\n"):
        if line[:3] in ("A: ", "U: "):
            role = "assistant" if line[0] == "A" else "user"
            messages.append({"role": role, "content": line[3:]})
        elif messages:
            messages[-1]["content"] += "\n" + line
    return messages


def chats(n: int = 1800) -> Source:
    logs = make_feedback_logs(n, random_state=0)
    frame, rng = logs.frame, np.random.default_rng(0)
    systems = [
        "You are the assistant of a software company. "
        + " ".join(rng.permutation(_RULES)[: rng.integers(3, 12)])
        for _ in range(20)
    ]
    plain = np.flatnonzero(logs.manner == "plain")
    rows = []
    for prompt, completion in zip(frame["prompt"], frame["completion"], strict=True):
        chat = [{"role": "system", "content": str(rng.choice(systems))}]
        for i in rng.choice(plain, rng.integers(0, 5), replace=False):
            chat.append({"role": "user", "content": frame["prompt"].iloc[i]})
            chat.append({"role": "assistant", "content": frame["completion"].iloc[i]})
        if rng.random() < 0.2:
            document = " ".join(frame["completion"].iloc[rng.choice(plain, 12)])
            prompt = f"Here is what I have so far: {document}\n\n{prompt}"
        chat.append({"role": "user", "content": prompt})
        rows.append((chat, completion))
    return Source(rows, logs.reward.astype(int), frame["group"].to_numpy())


def aurocs(source: Source, X: np.ndarray, splits: int) -> tuple[list[float], list[float]]:
    """Return AUROC on unseen groups, and the share of right pairs within them, by split."""
    values, pairs = [], []
    splitter = GroupShuffleSplit(splits, test_size=0.3, random_state=0)
    for train, test in splitter.split(X, groups=source.groups):
        head = RidgeHead(random_state=0)
        head.fit(X[train], source.good[train].astype(float), groups=source.groups[train])
        p, good = head.predict(X[test]), source.good[test]
        values.append(roc_auc_score(good, p))
        parts = [source.groups[test] == group for group in np.unique(source.groups[test])]
        wins = [p[i & (good == 1)][:, None] - p[i & (good == 0)] for i in parts]
        wins = np.concatenate([np.sign(win).ravel() for win in wins])
        pairs.append(float((1 + wins.mean()) / 2))
    return values, pairs


def encoded(
    source: Source, option: dict[str, Any], cache: Path
) -> tuple[np.ndarray, ConversationEncoder, float]:
    encoder = ConversationEncoder(cache_dir=cache, show_progress=False, **option)
    start = time.perf_counter()
    return encoder.transform(source.rows), encoder, time.perf_counter() - start


def as_markdown(table: pd.DataFrame, sources: dict[str, Source]) -> str:
    names = list(sources)
    lines = [
        "| | "
        + " | ".join([*names, "mean", "same prompt: judged / chats", "shortened answers"])
        + " |",
        "| --- " * (len(names) + 4) + "|",
    ]
    mean = table.groupby("option", sort=False)
    for option, part in mean:
        cells, values = [], []
        for name in names:
            of_source = part[part["source"] == name]
            values.append(of_source["auroc"].mean())
            cells.append(f"{of_source['auroc'].mean():.3f} ± {of_source['auroc'].std():.3f}")
        same = [part.loc[part["source"] == name, "pairs"].mean() for name in ("judged", "chats")]
        share = part.groupby("source", sort=False)["answers"].first().loc[names]
        cells += [
            f"{np.mean(values):.4f}",
            " / ".join("" if np.isnan(value) else f"{value:.3f}" for value in same),
            " / ".join(f"{value:.0%}" for value in share),
        ]
        lines.append(f"| {option} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def gains(table: pd.DataFrame, base: str = "pair") -> str:
    """Return what each option has over `base`, split by split."""
    wide = table.pivot_table(index=["source", "split"], columns="option", values="auroc")
    gain = wide.sub(wide[base], axis=0)
    sources = list(table["source"].unique())
    lines = [
        f"| over {base} | " + " | ".join(sources) + " |",
        "| --- " * (len(sources) + 1) + "|",
    ]
    for option in table["option"].unique():
        if option != base:
            cells = [
                f"{gain.loc[name, option].mean():+.4f} ± {gain.loc[name, option].std():.4f}"
                for name in sources
            ]
            lines.append(f"| {option} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument(
        "--cache", type=Path, default=Path(tempfile.gettempdir()) / "skcausalrm-text-options"
    )
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", SkcausalrmWarning)
    found = {
        "judged": judged(arguments.data),
        "dialogs": dialogs(arguments.data),
        "chats": chats(),
    }
    sources = {name: source for name, source in found.items() if source is not None}
    for name in found.keys() - sources.keys():
        print(f"No data for {name} in {arguments.data}: left out.", file=sys.stderr)
    records = []
    for option, parameters in OPTIONS.items():
        for name, source in sources.items():
            X, encoder, seconds = encoded(source, parameters, arguments.cache)
            values, pairs = aurocs(source, X, arguments.splits)
            share = encoder.truncated_answer_count_ / len(X)
            records += [
                {
                    "option": option,
                    "source": name,
                    "split": split,
                    "auroc": value,
                    "pairs": pair,
                    "answers": share,
                }
                for split, (value, pair) in enumerate(zip(values, pairs, strict=True))
            ]
            print(
                f"{option}, {name}: {np.mean(values):.4f}, {seconds:.0f} s, "
                f"{encoder.truncated_prompt_count_} prompts and {share:.1%} of answers shortened",
                file=sys.stderr,
                flush=True,
            )
    table = pd.DataFrame(records)
    counts = ", ".join(
        f"{name} {len(source.rows):,} rows in {len(np.unique(source.groups)):,} groups"
        for name, source in sources.items()
    )
    command = " ".join(["python benchmarks/text_options.py", *sys.argv[1:]])
    text = (
        "# What the encoder reads\n\n"
        f"`{command}`: {counts}. AUROC of clean labels on unseen groups, mean ± standard deviation "
        f"of {arguments.splits} splits; options without a number of tokens read 256. Same prompt: "
        f"share of pairs of a good and a bad answer to one question in the right order.\n\n"
        + as_markdown(table, sources)
        + "\nDifferences, split by split:\n\n"
        + gains(table)
    )
    print(text)
    if arguments.out:
        arguments.out.write_text(text)


if __name__ == "__main__":
    main()
