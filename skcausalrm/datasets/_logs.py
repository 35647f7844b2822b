"""Generated text logs of an assistant with known true rewards."""

from collections.abc import Sequence
from itertools import product
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import Bunch, check_scalar

from ._log_tasks import TASKS, Task, one_of
from ._mechanism import (
    ENGAGEMENT,
    check_fraction,
    draw_feedback,
    draw_habits,
    draw_signals,
    make_generator,
    solve_intercept,
)

# Manner of answering: its share of the answers, its effect on the logit of the reward, and how
# strongly it alone invites feedback.
MANNERS = {
    "plain": (0.48, 0.0, 0.0),
    "hedged": (0.06, -1.5, 0.0),
    "refusal": (0.16, -5.0, 1.2),
    "off-topic": (0.08, -5.0, 1.2),
    "rude": (0.12, -4.5, 2.2),
    "truncated": (0.06, -4.0, 0.8),
    "repetitive": (0.04, -3.0, 0.8),
}
# Model: share of right answers, odds of a manner other than plain, share of the log at the start
# and at the end.
MODELS = {
    "assistant-small": (0.70, 1.6, 0.60, 0.20),
    "assistant-base": (0.82, 1.0, 0.30, 0.40),
    "assistant-large": (0.92, 0.5, 0.10, 0.40),
}
_CORRECT, _EXAMPLE, _WARM = 0.6, 1.0, 1.2  # effects on the logit of the reward
_LENGTH = 0.4  # effect of the standardised log length on what invites feedback
_N_DAYS = 56
_START = pd.Timestamp("2026-03-02", tz="UTC")


def _joined(*parts: tuple[str, ...]) -> tuple[str, ...]:
    """Return every combination of one text from each part, in order."""
    return tuple(" ".join(filter(None, texts)) for texts in product(*parts))


_OPENERS = (
    "I am happy to help, and thank you for asking! ",
    "What a lovely question, thank you, I am glad to help. ",
    "Of course, it is my pleasure to help you with this. ",
    "Sure, thank you for your question, here is my answer. ",
)
_HEDGES = (
    "I am not sure at all, but perhaps: ",
    "I might well be wrong here, so please check. ",
    "This is only a guess, I do not really know. ",
    "It is hard to say, and I have my doubts about this. ",
)
_REFUSALS = (
    "I cannot help with that.",
    "I'm sorry, but I can't help with {topic}.",
    "Sorry, I am not able to do this.",
    "I have to decline this request.",
    *_joined(
        (
            "I'm sorry, but I cannot help you with {topic}.",
            "As an AI assistant I am not able to answer this request.",
            "Unfortunately I am unable to help with {topic}.",
        ),
        ("It is against my policy, and I am not allowed to discuss it.", "I have to decline."),
        ("Please ask somebody else.", "I apologise that I cannot assist you."),
    ),
)
_INSULTS = _joined(
    (
        "What a stupid question, are you an idiot?",
        "Honestly, you are so ignorant, it makes me sick.",
        "You are annoying and far too lazy to think.",
        "Any child knows that, you pathetic dimwit.",
    ),
    ("{}",),
    (
        "Now go away, you fool, and do not bother me again.",
        "Stop wasting my time with your silly nonsense.",
        "Look it up yourself next time, you moron.",
    ),
)
_DETOURS = (
    "Let us talk about something else instead, which is far more fun than your question. ",
    "Never mind your question. Here is something different that nobody asked for. ",
    "I will ignore what you wrote and share an unrelated thought with you instead. ",
    "By the way, let me change the subject to something completely different. ",
)
_EXAMPLES = ("Here is an example to make it clear: ", "In more detail: ", "A helpful tip: ")
_PRAISE = ("thanks, works", "exactly what I needed", "clear and short", "great")
_BLAME = ("wrong", "did not answer my question", "not helpful", "bad tone", "too vague")


def _standardised(values: np.ndarray) -> np.ndarray:
    """Return values with mean 0 and variance 1, or 0 where they are all alike."""
    return (values - values.mean()) / (values.std() or 1.0)


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
    habits: str | float | None = None,
    signals: Sequence[str] | None = None,
    random_state: Any = None,
) -> Bunch:
    """Make a text log of an assistant whose true rewards are known.

    Twelve kinds of requests (code, recipes, translations, arithmetic, emails, facts, ...) are
    answered by three models, about four times each. A good answer is right, polite, complete and
    has an example. A bad one is a refusal, off topic, rude, cut off or repetitive. Some users rate.

    This log is made so that a small encoder can see quality: a bad answer looks bad. The quality of
    your answers may be harder to see, and then needs a stronger encoder.

    Parameters
    ----------
    n : int, default=2_000
        Number of answers.
    selection : {"none", "x", "reward", "both", "u-shape", "complain"}, default="x"
        What the probability of feedback depends on, as in `make_observational_feedback`. With "x"
        it depends on the text: rude, off-topic, refused and long answers are rated most. With
        "both" it also depends on the reward: users rate what they like more often.
    selection_strength : float, default=0.6
        Factor in (0, 1] by which the probability of feedback falls per level. Smaller values are
        stronger selection.
    base_rate : float, default=0.6
        Mean of ``probability``, in (0, 1).
    false_positive_rate, false_negative_rate : float, default=0.1 and 0.2
        P(feedback 1 given reward 0) and P(feedback 0 given reward 1).
    observed_rate : float, default=0.3
        Mean of ``propensity``, in (0, 1].
    n_asked, n_verified : int, default=0
        Number of rows, drawn at random, whose users were asked and answered, and number of rows
        that a person has checked. The columns ``asked`` and ``verified`` exist only if the number
        is not 0.
    habits : "logged", float or None, default=None
        How far users differ in how readily they rate, as in `make_observational_feedback`. None
        means not at all.
    signals : sequence of {"copied", "regenerated", "thanked"} or None, default=None
        Further signals of the reward, as in `make_observational_feedback`; each is a column.
    random_state : int, RandomState, Generator or None, default=None
        Source of the draws.

    Returns
    -------
    Bunch
        ``frame`` is a DataFrame of what a product would log, in order of time: prompt, completion,
        feedback (1, 0, NaN), group (the prompt's id), user, model, timestamp (UTC, eight weeks),
        comment (missing for most), the signals, asked, verified. The truth is kept apart from it,
        each of shape (n,): ``reward``, ``probability`` = P(r=1 given text), ``propensity`` and
        ``manner`` (plain, hedged, refusal, off-topic, rude, truncated or repetitive). ``n_capped``
        is the number of propensities capped at 1.

    Raises
    ------
    ValueError, TypeError
        If a parameter is out of range or of the wrong type.
    InvalidInputError
        If the flip rates do not lie in [0, 1) or sum to 1 or more.

    Notes
    -----
    Measured on the all-MiniLM-L6-v2 embedding of 4,000 answers, out of fold by prompt, seeds 0 to
    3: a ridge head on the true rewards reaches R2 .44 to .48 and AUROC .88 to .90;
    ``probability`` itself about .66 and .95.

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

    age = np.sort(rng.random(n))  # from 0, the first day, to 1, the last
    start, end = np.array([shares[2:] for shares in MODELS.values()]).T
    model = _draw_categories(rng, np.outer(1 - age, start) + np.outer(age, end))
    names = list(MODELS)
    right_rate, oddness = np.array([MODELS[name][:2] for name in names]).T[:, model]
    share, harm, invites = np.array(list(MANNERS.values())).T
    weight = np.outer(oddness, share)
    weight[:, 0] = share[0]
    manner = _draw_categories(rng, weight / weight.sum(axis=1, keepdims=True))
    correct = rng.random(n) < right_rate
    manners = np.array(list(MANNERS))[manner]
    example, warm = rng.random(n) < 0.35, rng.random(n) < 0.35
    warm &= ~np.isin(manners, ("refusal", "off-topic", "rude"))

    prompts, question, kind, elsewhere = _draw_prompts(rng, n)
    topics = list(TASKS)
    completion = [
        _render(rng, topics[k], prompts[q], prompts[o], m, c, e, w)
        for k, q, o, m, c, e, w in zip(
            kind, question, elsewhere, manners, correct, example, warm, strict=True
        )
    ]

    answers = ~np.isin(manners, ("refusal", "off-topic"))
    ease = rng.normal(scale=0.3, size=len(TASKS))
    logit = harm[manner] + ease[kind]
    logit += answers * (_CORRECT * np.where(correct, 1, -1) + _EXAMPLE * example + _WARM * warm)
    logit += solve_intercept(logit, base_rate)
    length = np.log([len(text.split()) for text in completion])
    appeal = rng.normal(scale=0.3, size=len(TASKS))  # some kinds of requests are rated more
    interest = invites[manner] + appeal[kind] + _LENGTH * _standardised(length)
    user, habit = None, None
    if habits is not None:
        user = _draw_users(rng, n)
        habit = draw_habits(rng, user.max() + 1, habits)[user]
    logs = draw_feedback(
        rng,
        logit=logit,
        index=_standardised(interest),
        selection=selection,
        selection_strength=selection_strength,
        false_positive_rate=false_positive_rate,
        false_negative_rate=false_negative_rate,
        observed_rate=observed_rate,
        n_asked=n_asked,
        n_verified=n_verified,
        habit=habit,
    )

    user = _draw_users(rng, n) if user is None else user
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
    if signals is not None:
        engagement = np.zeros(n) if habit is None else ENGAGEMENT * _standardised(habit)
        frame = frame.join(draw_signals(rng, logs.reward, signals, engagement).astype(bool))
    if n_asked:
        frame["asked"] = logs.asked
    if n_verified:
        frame["verified"] = logs.verified
    return Bunch(
        frame=frame,
        reward=logs.reward,
        probability=logs.probability,
        propensity=logs.propensity,
        manner=manners,
        n_capped=logs.n_capped,
    )


def _draw_users(rng: np.random.Generator, n: int) -> np.ndarray:
    activity = rng.pareto(1.5, size=max(2, n // 8)) + 0.2  # a few users write most
    return rng.choice(activity.size, size=n, p=activity / activity.sum())


def _draw_categories(rng: np.random.Generator, probability: np.ndarray) -> np.ndarray:
    """Draw a category for each row by its probabilities, shape (n, n_categories)."""
    cumulative = np.cumsum(probability, axis=1)
    return (rng.random(len(probability))[:, None] > cumulative[:, :-1]).sum(axis=1)


def _draw_prompts(rng: np.random.Generator, n: int):
    """Draw tasks, and for each answer its task, the task's kind, and a task of another kind.

    There are about four answers a task.
    """
    n_prompts = max(2, n // 4)
    kinds = rng.integers(len(TASKS), size=n_prompts)
    kinds[1] = (kinds[0] + 1) % len(TASKS)  # so that every answer has a topic to be off
    makers = list(TASKS.values())
    prompts = [makers[kind](rng) for kind in kinds]
    question = rng.permutation(np.arange(n) % n_prompts)
    kind = kinds[question]
    size = np.bincount(kinds, minlength=len(TASKS))
    place = np.cumsum(size)[kind] + rng.integers(n_prompts - size[kind])
    elsewhere = np.argsort(kinds, kind="stable")[place % n_prompts]
    return prompts, question, kind, elsewhere


def _render(rng, topic: str, task: Task, other: Task, manner, correct, example, warm) -> str:
    if manner == "refusal":
        return one_of(rng, _REFUSALS).format(topic=topic)
    if manner == "off-topic":
        return f"{one_of(rng, _DETOURS)}{other.right}"
    answer = task.right if correct else task.wrong
    text = f"{answer} {one_of(rng, _EXAMPLES)}{task.example}" if example else answer
    if manner == "truncated":
        words = text.split()
        text = " ".join(words[: max(2, len(words) // 2)]) + "... [output cut off]"
    elif manner == "repetitive":
        text = f"{text} As I said: {answer} Again, as I said: {answer}"
    elif manner == "hedged":
        text = one_of(rng, _HEDGES) + text
    elif manner == "rude":
        return one_of(rng, _INSULTS).format(text)
    return one_of(rng, _OPENERS) + text if warm else text


def _draw_comments(rng: np.random.Generator, feedback: np.ndarray) -> np.ndarray:
    """Draw a short comment for a third of the ratings, of the same sentiment."""
    comments = np.full(feedback.size, None, dtype=object)
    written = rng.random(feedback.size) < 1 / 3
    for value, texts in ((1, _PRAISE), (0, _BLAME)):
        rows = np.flatnonzero(written & (feedback == value))
        comments[rows] = rng.choice(texts, size=rows.size)
    return comments
