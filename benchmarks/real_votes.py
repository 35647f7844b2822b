"""Real people's votes: what each method makes of one thumb an answer, by who volunteers it.

    python benchmarks/real_votes.py [--data ../shared/data] [--seeds 10] [--out FILE]

Two sources (see the data's own README). Dialogs: answers of four chatbots with 30 votes each. One
vote, drawn, is the thumb (up: no breakdown), and an answer is good where at least half of the other
29 say so. Half of the answers repeat in other dialogs. Captions: three contests in which a bandit
showed what was liked more often, and in which the same captions were shown at random too. One vote
of the bandit's audience, drawn, is the thumb (up: funny or somewhat funny), and a caption is good
where at least a third of those who saw it at random say so.

About a fifth of the rows is rated, by one of these rules:

- at random;
- by the reward: good answers are rated TIMES as often as bad ones;
- by habit: one of the people who voted on a dialog had it, and rates its answers at their own rate
  and with their own votes. Rates of people who rate at all follow the quantiles of a real log;
- by exposure (captions): in proportion to how often the bandit showed the caption.

A third of the dialogs (captions) is held out and scored on its clean labels; all methods see the
same log. "selection" is `method="auto"`; verified rows are drawn at random and have clean labels;
"users" says whose dialog it was, by habit alone; "several votes" gives the mean of 5 votes of each
rated answer instead of one; "matched" has as many rated rows, drawn at random, and knows that they
are and how often votes err, by the likelihood or by ridge; "ridge on the truth" has the clean
labels of all rows. A run that was stopped continues: finished cells are in --work.
"""

from __future__ import annotations

import argparse
import sys
import warnings
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from _grid import chosen, file_name, fingerprint, run_grid
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.model_selection import GroupShuffleSplit

from skcausalrm import (
    CausalRewardRegressor,
    ConversationEncoder,
    NoiseOnly,
    NoiseTransitionEstimator,
    SelectionModel,
)
from skcausalrm.exceptions import SkcausalrmWarning
from skcausalrm.heads import RidgeHead

ROOT = Path(__file__).resolve().parent.parent
SHARE_RATED = 0.2
N_VOTES = 5
N_VERIFIED = 50
CONTESTS, PER_CONTEST = (514, 518, 519), 1500
# Share of a dialog's answers that a volunteer rates, at these quantiles of volunteers.
HABIT = ((0, 0.1, 0.25, 0.5, 0.75, 1), (0, 0, 0.1, 0.8, 1, 1))
RULES = {
    "dialogs": ("random", "reward, 3 times", "reward, 10 times", "habit"),
    "captions": ("random", "exposure"),
}
SELECTION = "selection"
CHECKED = f"selection, {N_VERIFIED} verified"


class Cell(NamedTuple):
    """One log."""

    source: str
    rule: str
    seed: int

    @property
    def name(self) -> str:
        """Fit for a file."""
        return file_name(self)


class Votes(NamedTuple):
    """Every vote on every answer.

    `good` and `voter` have a row for each answer and a column for each vote; `shown` is how often
    a caption was shown, and `truth` its clean label, where others than the voters decide.
    """

    X: np.ndarray
    groups: np.ndarray
    good: np.ndarray
    voter: np.ndarray | None = None
    shown: np.ndarray | None = None
    truth: np.ndarray | None = None


class Log(NamedTuple):
    """One vote of each answer, the mean of several, who rated, and the clean labels.

    `users` are whose dialog it was, by habit alone.
    """

    answer: np.ndarray
    several: np.ndarray
    rated: np.ndarray
    truth: np.ndarray
    top_tenth: float = np.nan
    users: np.ndarray | None = None


def dialogs(data: Path) -> Votes:
    folder = data / "real"
    answers = pd.read_parquet(folder / "dbdc3_answers.parquet")
    votes = pd.read_parquet(folder / "dbdc3_votes.parquet")
    embeddings = pd.read_parquet(folder / "dbdc3_emb_resp.parquet")["embedding"]
    votes = votes.sort_values("row", kind="stable")
    if not np.array_equal(votes["row"].unique(), answers["row"]):
        raise ValueError(f"Votes and answers in {folder} are not of the same rows.")
    return Votes(
        X=np.array(embeddings.tolist(), dtype=np.float32),
        groups=pd.factorize(answers["dialog"])[0],
        good=(votes["label"] == 0).to_numpy(dtype=float).reshape(len(answers), -1),
        voter=votes["annotator"].to_numpy().reshape(len(answers), -1),
    )


def captions(data: Path, cache: Path) -> Votes:
    """Return captions with as many of the bandit's votes as the one shown least often has."""
    table = pd.read_parquet(data / "real" / "newyorker_captions.parquet")
    table = table[table["caption"].str.strip() != ""]
    table = pd.concat(
        table[table["contest"] == contest].sample(PER_CONTEST, random_state=0)
        for contest in CONTESTS
    )
    counts = {
        shown: table[[f"{word}_{shown}" for word in ("funny", "somewhat_funny", "unfunny")]]
        for shown in ("adaptive", "random")
    }
    shown = counts["adaptive"].sum(axis=1).to_numpy()
    liked = shown - counts["adaptive"]["unfunny_adaptive"].to_numpy()
    drawn = np.random.default_rng(0).hypergeometric(liked, shown - liked, shown.min())
    at_random = counts["random"].sum(axis=1)
    funny = 1 - counts["random"]["unfunny_random"] / at_random
    encoder = ConversationEncoder(text="answer", cache_dir=cache, show_progress=False)
    return Votes(
        X=encoder.transform([("", caption) for caption in table["caption"]]),
        groups=pd.factorize(table["caption"].str.strip().str.lower())[0],
        good=(np.arange(shown.min()) < drawn[:, None]).astype(float),
        shown=shown.astype(float),
        truth=(funny >= 1 / 3).to_numpy(dtype=float),
    )


def draw(votes: Votes, rule: str, seed: int) -> Log:
    """Draw the thumb of each answer and who volunteers it."""
    rng = np.random.default_rng(seed)
    key = rng.random(votes.good.shape)
    kind, _, times = rule.partition(", ")
    by_habit = kind == "habit"
    person = None
    if by_habit:
        person = _person_of_dialog(votes, rng)
        own = votes.voter == person[:, None]
        key[own] = -1  # whoever rates does so with their own vote
    good = np.take_along_axis(votes.good, key.argsort(axis=1), axis=1)
    truth = votes.truth
    if truth is None:
        truth = (good[:, 1:].mean(axis=1) >= 0.5).astype(float)
    if by_habit:
        rate = np.where(own.any(axis=1), _habits(person, rng), 0)
    else:
        weight = np.ones(len(truth))
        if kind == "exposure":
            weight = votes.shown
        elif kind == "reward":
            weight = np.where(truth == 1, float(times.split()[0]), 1.0)
        rate = weight * SHARE_RATED / weight.mean()
    rated = rng.random(len(truth)) < rate
    top_tenth = _share_of_top_tenth(person[rated]) if by_habit else np.nan
    return Log(good[:, 0], good[:, :N_VOTES].mean(axis=1), rated, truth, top_tenth, person)


def _share_of_top_tenth(raters: np.ndarray) -> float:
    ratings = np.sort(np.unique(raters, return_counts=True)[1])
    return ratings[-max(1, len(ratings) // 10) :].sum() / ratings.sum()


def _person_of_dialog(votes: Votes, rng: np.random.Generator) -> np.ndarray:
    """Return for each answer the one of its dialog's voters who had the dialog."""
    _, first, codes = np.unique(votes.groups, return_index=True, return_inverse=True)
    column = rng.integers(votes.voter.shape[1], size=len(first))
    return votes.voter[first, column][codes]


def _habits(person: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the rate at which each person rates; most never do, so that a fifth is rated."""
    people, codes = np.unique(person, return_inverse=True)
    quantile, share = HABIT
    mean = np.diff(quantile) @ (np.add(share[1:], share[:-1]) / 2)
    volunteers = rng.random(len(people)) < SHARE_RATED / mean
    return (volunteers * np.interp(rng.random(len(people)), quantile, share))[codes]


def predictions(votes: Votes, log: Log, train: np.ndarray, test: np.ndarray, seed: int) -> Iterator:
    """Yield the name, ranking and rewards of each method, and the method that auto took."""
    X, groups, truth = votes.X[train], votes.groups[train], log.truth[train]
    X_new = votes.X[test]
    y = np.where(log.rated, log.answer, np.nan)[train]
    rng = np.random.default_rng(seed)
    verified = np.full(len(train), np.nan)
    checked = rng.choice(len(train), N_VERIFIED, replace=False)
    verified[checked] = truth[checked]
    several = np.where(log.rated, log.several, np.nan)[train]
    fits: dict[str, tuple[Any, np.ndarray, dict[str, np.ndarray]]] = {
        "naive": ("naive", y, {}),
        "dr": ("dr", y, {}),
        SELECTION: ("auto", y, {}),
        CHECKED: ("auto", y, {"verified": verified}),
        "naive, several votes": ("naive", several, {}),
    }
    if log.users is not None:
        users = {"users": log.users[train]}
        fits["selection, users"] = ("auto", y, users)
        fits[f"selection, users, {N_VERIFIED} verified"] = (
            "auto",
            y,
            {**users, "verified": verified},
        )
    for name, (method, label, columns) in fits.items():
        model = CausalRewardRegressor(method, random_state=seed)
        model.fit(X, label, groups=groups, **columns)
        yield name, model.decision_function(X_new), model.predict(X_new), model.method_

    sample = rng.choice(len(train), int(log.rated[train].sum()), replace=False)
    answer = log.answer[train]
    rates = {
        "false_positive_rate": answer[truth == 0].mean(),
        "false_negative_rate": 1 - answer[truth == 1].mean(),
    }
    asked = {"asked": np.ones(len(sample), dtype=bool)}
    noise = NoiseOnly(noise_estimator=NoiseTransitionEstimator(**rates))
    references: dict[str, tuple[Any, dict[str, np.ndarray]]] = {
        "matched": (SelectionModel(**rates), asked),
        "matched, ridge": (noise, {}),
    }
    for name, (method, columns) in references.items():
        model = CausalRewardRegressor(method, random_state=seed)
        model.fit(X[sample], answer[sample], groups=groups[sample], **columns)
        yield name, model.decision_function(X_new), model.predict(X_new), model.method_
    ridge = RidgeHead(random_state=seed).fit(X, truth, groups=groups)
    p = ridge.predict(X_new)
    yield "ridge on the truth", p, np.clip(p, 0, 1), "ridge"


def run_cell(cell: Cell, sources: dict[str, Votes]) -> pd.DataFrame:
    """Return a row for each method."""
    votes = sources[cell.source]
    log = draw(votes, cell.rule, cell.seed)
    splitter = GroupShuffleSplit(1, test_size=1 / 3, random_state=cell.seed)
    train, test = next(splitter.split(votes.X, groups=votes.groups))
    truth, bad = log.truth[test], log.truth == 0
    about = {
        "rated": log.rated[train].mean(),
        "good": log.truth.mean(),
        "good among rated": log.truth[log.rated].mean(),
        "false positive rate": log.answer[bad].mean(),
        "false negative rate": 1 - log.answer[~bad].mean(),
        "top tenth": log.top_tenth,
    }
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkcausalrmWarning)
        for name, ranking, p, taken in predictions(votes, log, train, test, cell.seed):
            scores = {
                "AUROC": roc_auc_score(truth, ranking),
                "R2": r2_score(truth, p),
                "level": p.mean() - truth.mean(),
            }
            rows.append({**cell._asdict(), "method": name, "taken": taken, **scores, **about})
    return pd.DataFrame(rows)


def run(cells: list[Cell], sources: dict[str, Votes], work: Path, jobs: int) -> pd.DataFrame:
    """Run what is not there yet and return all rows, in the order of the cells."""
    data = {name: zlib.crc32(votes.X.tobytes()) for name, votes in sources.items()}
    folder = work / fingerprint(data, Path(__file__))
    return run_grid(cells, partial(run_cell, sources=sources), folder, jobs)


def over_naive(part: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return the differences to naive, a row for each split and a column for each method."""
    wide = part.pivot_table(index="seed", columns="method", values=metric, sort=False)
    return wide.sub(wide["naive"], axis=0)


def goals(results: pd.DataFrame) -> str:
    """Return what selection has over naive by each rule, and where it misses the goal."""
    lines = [
        "Goal: the AUROC of selection is at least naive's -.01 in the mean over splits, and above "
        "it where people rate by the reward, which exposure does too (in brackets: the worst "
        "split).\n",
        "| | selection's AUROC over naive's | | its R2 over naive's | took the likelihood |",
        "|---|---|---|---|---|",
    ]
    for (source, rule), part in results.groupby(["source", "rule"], sort=False):
        gain, r2 = (over_naive(part, metric)[SELECTION] for metric in ("AUROC", "R2"))
        least = 0 if rule.startswith(("reward", "exposure")) else -0.01
        met = "met" if gain.mean() > least else "**missed**"
        taken = part.loc[part["method"] == SELECTION, "taken"].eq("selection")
        lines.append(
            f"| {source}, {rule} | {gain.mean():+.3f} ({gain.min():+.3f}) | {met} "
            f"| {r2.mean():+.3f} ({r2.min():+.3f}) | {taken.sum()} of {len(taken)} |"
        )
    return "\n".join(lines) + "\n"


def as_markdown(results: pd.DataFrame) -> str:
    """Return a table for each rule: means ± standard deviations over splits."""
    parts = []
    for (source, rule), part in results.groupby(["source", "rule"], sort=False):
        about = part.drop_duplicates("seed").mean(numeric_only=True)
        people = about["top tenth"]
        parts.append(
            f"\n## {source}, {rule}\n\n{about['rated']:.0%} rated; good {about['good']:.0%} of "
            f"all and {about['good among rated']:.0%} of the rated; a vote errs on "
            f"{about['false positive rate']:.2f} of the bad and "
            f"{about['false negative rate']:.2f} of the good."
            + ("" if np.isnan(people) else f" A tenth of the raters gave {people:.0%} of ratings.")
            + "\n\n| method | AUROC | over naive | R2 | over naive | mean p - mean truth |\n"
            "|---|---|---|---|---|---|"
        )
        gains = {metric: over_naive(part, metric) for metric in ("AUROC", "R2")}
        for method, of_method in part.groupby("method", sort=False):
            cells = []
            for metric, gain in gains.items():
                values = of_method[metric]
                cells.append(f"{values.mean():.3f} ± {values.std():.3f}")
                difference = f"{gain[method].mean():+.3f} ± {gain[method].std():.3f}"
                cells.append("" if method == "naive" else difference)
            cells.append(f"{of_method['level'].mean():+.3f} ± {of_method['level'].std():.3f}")
            parts.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(parts) + "\n"


def page(results: pd.DataFrame, sources: dict[str, Votes], command: str) -> str:
    rows = " and ".join(
        f"{len(votes.X):,} {name if name == 'captions' else 'answers in dialogs'}"
        for name, votes in sources.items()
    )
    return (
        f"# Votes of real people\n\n`{command}`: {rows} with one thumb each, of which about a "
        f"fifth is in the log; {results['seed'].nunique()} splits; clean labels of dialogs and "
        "captions that were not trained on. `selection` is `auto`. `matched` has as many ratings, "
        "of rows drawn at random, and knows that they are and how often votes err. `several votes` "
        f"are the mean of {N_VOTES} votes of each rated row. "
        "± is the standard deviation over splits.\n\n" + goals(results) + as_markdown(results)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME=VALUES")
    parser.add_argument("--jobs", type=int, default=1, help="processes of one thread each")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "real_votes")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if not (arguments.data / "real" / "dbdc3_votes.parquet").exists():
        print(f"No real/dbdc3_votes.parquet in {arguments.data}: nothing to run.", file=sys.stderr)
        raise SystemExit(2)
    cells = [
        Cell(source, rule, seed)
        for source, rules in RULES.items()
        for rule in rules
        for seed in range(arguments.seeds)
    ]
    try:
        cells = chosen(cells, arguments.only)
    except ValueError as error:
        parser.error(str(error))
    wanted = dict.fromkeys(cell.source for cell in cells)
    sources = {
        name: dialogs(arguments.data)
        if name == "dialogs"
        else captions(arguments.data, arguments.work / "embeddings")
        for name in wanted
    }
    results = run(cells, sources, arguments.work, arguments.jobs)
    text = page(results, sources, " ".join(["python benchmarks/real_votes.py", *sys.argv[1:]]))
    print(text)
    if arguments.out:
        arguments.out.write_text(text)


if __name__ == "__main__":
    main()
