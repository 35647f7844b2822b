"""Text logs of an assistant with known truth: `make_feedback_logs`."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import Bunch, check_scalar

from ._log_tasks import TASKS, Task
from ._mechanism import check_fraction, draw_feedback, make_generator, solve_intercept

# Per manner of answering: how often it occurs, what it does to the logit of the reward, and how
# strongly it alone invites feedback.
MANNERS = {
    "plain": (0.40, 0.0, 0.0),
    "hedged": (0.08, -1.0, 0.0),
    "refusal": (0.16, -3.5, 1.2),
    "off-topic": (0.08, -3.0, 1.2),
    "rude": (0.16, -3.5, 2.2),
    "truncated": (0.06, -2.0, 0.8),
    "repetitive": (0.06, -2.0, 0.8),
}
# Per model: share of right answers, odds of a manner other than plain, share of the log at the
# start and at the end.
MODELS = {
    "assistant-small": (0.55, 1.6, 0.60, 0.20),
    "assistant-base": (0.72, 1.0, 0.30, 0.40),
    "assistant-large": (0.88, 0.5, 0.10, 0.40),
}
_CORRECT, _EXAMPLE, _WARM = 0.6, 1.0, 1.2
_LENGTH = 0.4  # weight of the standardised length in what invites feedback
_N_DAYS = 56
_START = pd.Timestamp("2026-03-02", tz="UTC")

_OPENERS = (
    "Happy to help, thank you for asking! ",
    "What a lovely question, thank you! ",
    "Of course, it is my pleasure to help you. ",
)
_HEDGES = (
    "I am not sure at all, but perhaps: ",
    "I might well be wrong here, so please check. ",
    "This is only a guess, I do not really know. ",
)
_REFUSALS = (
    "I'm sorry, but I cannot help with that request.",
    "As an AI assistant I am not able to answer this, sorry.",
    "I can't assist with this. It is against my policy.",
)
_INSULTS = (
    "What a stupid question, are you an idiot? {} Now go away, you fool.",
    "Honestly, you are so ignorant. {} Stop wasting my time with your nonsense.",
    "You are annoying and lazy. {} Look it up yourself next time, moron.",
)
_DETOURS = (
    "Let us talk about something else instead. ",
    "Never mind your question. ",
    "Ignoring that, here is an unrelated thought. ",
)
_EXAMPLES = ("Here is an example to make it clear: ", "In more detail: ", "A helpful tip: ")
_PRAISE = ("thanks, works", "exactly what I needed", "clear and short", "great")
_BLAME = ("wrong", "did not answer my question", "not helpful", "bad tone", "too vague")


def make_feedback_logs(
    n: int = 2_000,
    *,
    selection: str = "x",
    selection_strength: float = 0.6,
    base_rate: float = 0.6,
    false_positive_rate: float = 0.1,
    false_negative_rate: float = 0.2,
    observed_rate: float = 0.3,
    n_asked: int = 0,
    n_verified: int = 0,
    random_state: Any = None,
) -> Bunch:
    """Make small, varied text logs of an assistant, with the truth about every answer.

    Twelve kinds of requests (code, recipes, translations, arithmetic, emails, facts, ...) are
    answered by three models, several times each. Answers are right or wrong, with or without an
    example, friendly, hedged, rude, off topic, refused, cut off or repetitive, and the reward
    depends on just that, so that an embedding of the text carries much of it.

    Parameters
    ----------
    n : int, default=2_000
        Number of answers.
    selection : {"none", "x", "reward", "both", "u-shape", "complain"}, default="x"
        What the chance of feedback depends on, as in `make_observational_feedback`. "x" is what
        the text shows: rude, off-topic, refused and long answers are rated most.
    selection_strength : float, default=0.6
        Factor in (0, 1] by which the chance of feedback falls per level; small is strong.
    base_rate : float, default=0.6
        Mean of ``probability``, in (0, 1).
    false_positive_rate, false_negative_rate : float, default=0.1 and 0.2
        P(feedback 1 given reward 0) and P(feedback 0 given reward 1).
    observed_rate : float, default=0.3
        Mean of ``propensity``, in (0, 1].
    n_asked, n_verified : int, default=0
        Rows, drawn at random, that were asked and answered, and that a person has checked. The
        columns ``asked`` and ``verified`` are there only if the number is not 0.
    random_state : int, RandomState, Generator or None, default=None
        Source of the draws.

    Returns
    -------
    Bunch
        ``frame``, a DataFrame of what a product would log, in order of time: prompt, completion,
        feedback (1, 0, NaN), group (the prompt's id), user, model, timestamp (UTC, eight weeks),
        comment (missing for most), asked, verified. Apart from it the truth, each (n,):
        ``reward``, ``probability`` = P(r=1 given text), ``propensity``; and ``n_capped``, the
        number of propensities capped at 1.

    Raises
    ------
    ValueError, TypeError
        If a parameter is out of range or of the wrong type.
    InvalidInputError
        If the flip rates do not lie in [0, 1) or sum to 1 or more.

    Notes
    -----
    Measured at the defaults on the all-MiniLM-L6-v2 embedding of 2,000 answers, out of fold by
    prompt: a ridge head on the true rewards reaches R2 .24 and AUROC .79 (``probability`` itself
    .89); one on the raw feedback predicts .45 on average where the truth is .60.

    Examples
    --------
    >>> from skcausalrm.datasets import make_feedback_logs
    >>> logs = make_feedback_logs(400, random_state=0)
    >>> list(logs.frame.columns)
    ['prompt', 'completion', 'feedback', 'group', 'user', 'model', 'timestamp', 'comment']
    >>> round(float(logs.probability.mean()), 6)
    0.6
    """
    check_scalar(n, "n", Integral, min_val=2)
    check_fraction(base_rate, "base_rate")
    rng = make_generator(random_state)

    age = np.sort(rng.random(n))  # 0 is the first day, 1 the last
    model = _draw_models(rng, age)
    names = list(MODELS)
    right_rate, oddness = np.array([MODELS[name][:2] for name in names]).T[:, model]
    share, harm, invites = np.array(list(MANNERS.values())).T
    manner = _draw_manners(rng, share, oddness)
    correct = rng.random(n) < right_rate
    manners = np.array(list(MANNERS))[manner]
    example, warm = rng.random(n) < 0.35, rng.random(n) < 0.35
    warm &= ~np.isin(manners, ("refusal", "off-topic", "rude"))

    prompts, question, kind = _draw_prompts(rng, n)
    elsewhere = _draw_other_kind(rng, kind, question, len(prompts))
    completion = [
        _render(rng, prompts[q], prompts[o], m, c, e, w)
        for q, o, m, c, e, w in zip(
            question,
            elsewhere,
            manners,
            correct,
            example,
            warm,
            strict=True,
        )
    ]

    answers = ~np.isin(manners, ("refusal", "off-topic"))
    ease = rng.normal(scale=0.3, size=len(TASKS))
    logit = harm[manner] + ease[kind]
    logit += answers * (_CORRECT * np.where(correct, 1, -1) + _EXAMPLE * example + _WARM * warm)
    logit += solve_intercept(logit, base_rate)
    length = np.log([len(text.split()) for text in completion])
    appeal = rng.normal(scale=0.3, size=len(TASKS))  # some kinds of requests are rated more
    index = invites[manner] + appeal[kind] + _LENGTH * (length - length.mean()) / length.std()
    logs = draw_feedback(
        rng,
        logit=logit,
        index=(index - index.mean()) / index.std(),
        selection=selection,
        selection_strength=selection_strength,
        false_positive_rate=false_positive_rate,
        false_negative_rate=false_negative_rate,
        observed_rate=observed_rate,
        n_asked=n_asked,
        n_verified=n_verified,
    )

    activity = rng.pareto(1.5, size=max(2, n // 8)) + 0.2  # a few users write most
    user = rng.choice(activity.size, size=n, p=activity / activity.sum())
    text = pd.Series([prompts[q].prompt for q in question])
    seconds = np.floor(age * _N_DAYS * 86_400)
    frame = pd.DataFrame(
        {
            "prompt": text,
            "completion": completion,
            "feedback": logs.y,
            "group": pd.factorize(text)[0],
            "user": [f"user-{number:04d}" for number in user],
            "model": np.array(names)[model],
            "timestamp": _START + pd.to_timedelta(seconds, unit="s"),
            "comment": _draw_comments(rng, logs.y),
        }
    )
    if n_asked:
        frame["asked"] = logs.asked
    if n_verified:
        frame["verified"] = logs.verified
    return Bunch(
        frame=frame,
        reward=logs.reward,
        probability=logs.probability,
        propensity=logs.propensity,
        n_capped=logs.n_capped,
    )


def _draw_models(rng: np.random.Generator, age: np.ndarray) -> np.ndarray:
    start, end = np.array([shares[2:] for shares in MODELS.values()]).T
    cumulative = np.cumsum(np.outer(1 - age, start) + np.outer(age, end), axis=1)
    return (rng.random(age.size)[:, None] > cumulative[:, :-1]).sum(axis=1)


def _draw_manners(rng: np.random.Generator, share: np.ndarray, oddness: np.ndarray) -> np.ndarray:
    weight = np.outer(oddness, share)
    weight[:, 0] = share[0]
    cumulative = np.cumsum(weight / weight.sum(axis=1, keepdims=True), axis=1)
    return (rng.random(oddness.size)[:, None] > cumulative[:, :-1]).sum(axis=1)


def _draw_prompts(rng: np.random.Generator, n: int) -> tuple[list[Task], np.ndarray, np.ndarray]:
    """Tasks, and per answer which task it is of and of which kind; about four answers a task."""
    n_prompts = max(2, n // 4)
    kinds = rng.integers(len(TASKS), size=n_prompts)
    kinds[1] = (kinds[0] + 1) % len(TASKS)  # so that every answer has a topic to be off
    makers = list(TASKS.values())
    prompts = [makers[kind](rng) for kind in kinds]
    question = rng.permutation(np.arange(n) % n_prompts)
    return prompts, question, kinds[question]


def _draw_other_kind(
    rng: np.random.Generator, kind: np.ndarray, question: np.ndarray, n_prompts: int
) -> np.ndarray:
    """For each answer a prompt, drawn at random among those of other kinds."""
    kinds = np.empty(n_prompts, dtype=int)
    kinds[question] = kind
    by_kind = np.argsort(kinds, kind="stable")
    size = np.bincount(kinds, minlength=len(TASKS))
    end = np.cumsum(size)
    beyond = rng.integers(n_prompts - size[kind])
    return by_kind[(end[kind] + beyond) % n_prompts]


def _render(
    rng: np.random.Generator,
    task: Task,
    other: Task,
    manner: str,
    correct: bool,
    example: bool,
    warm: bool,
) -> str:
    def one(texts: tuple[str, ...]) -> str:
        return texts[int(rng.integers(len(texts)))]

    if manner == "refusal":
        return one(_REFUSALS)
    if manner == "off-topic":
        return f"{one(_DETOURS)}{other.right} {other.example}"
    answer = task.right if correct else task.wrong
    text = f"{answer} {one(_EXAMPLES)}{task.example}" if example else answer
    if manner == "truncated":
        words = text.split()
        text = " ".join(words[: max(2, len(words) // 2)]) + "... [output cut off]"
    elif manner == "repetitive":
        text = f"{text} As I said: {answer} Again, as I said: {answer}"
    elif manner == "hedged":
        text = one(_HEDGES) + text
    elif manner == "rude":
        return one(_INSULTS).format(text)
    return one(_OPENERS) + text if warm else text


def _draw_comments(rng: np.random.Generator, feedback: np.ndarray) -> np.ndarray:
    """A few words with a third of the ratings, in keeping with them."""
    comments = np.full(feedback.size, None, dtype=object)
    written = rng.random(feedback.size) < 1 / 3
    for value, texts in ((1, _PRAISE), (0, _BLAME)):
        rows = np.flatnonzero(written & (feedback == value))
        comments[rows] = rng.choice(texts, size=rows.size)
    return comments
