"""Signals that loaders find: what users did with an answer besides rating it."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skcausalrm.datasets import find_signals, load_feedback
from skcausalrm.datasets._signals import judge_signals
from skcausalrm.exceptions import SkcausalrmWarning

EXPORTS = Path(__file__).parents[3] / "shared/data/exports"


def load(rows, **given):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkcausalrmWarning)
        return load_feedback(rows, **given)


def rows_with(**columns):
    n = len(next(iter(columns.values())))
    rows = {"prompt": [f"q{k}" for k in range(n)], "completion": ["a"] * n, "feedback": [None] * n}
    return pd.DataFrame(rows | columns).to_dict("records")


def values(log, name):
    return [None if np.isnan(value) else value for value in log[name]]


def test_names_and_values_of_a_plain_log():
    log = load(
        rows_with(
            wasCopied=["yes", "no", ""],
            retry=[True, None, None],
            complaint=["too long", None, None],
        )
    )
    assert values(log, "copied") == [1, 0, None]  # empty is unknown next to a "no"
    assert values(log, "regenerated") == [1, 0, 0]  # and is a no where only events are logged
    assert log["complained"][0] == "too long"
    assert list(find_signals(log).columns) == []


def test_the_rating_is_no_signal():
    rows = [{"prompt": "q", "completion": "a", "copied": value} for value in (1, 0, 1)]
    log = load(rows, feedback_name="copied")
    assert "copied" not in log
    assert log["feedback"].tolist() == [1, 0, 1]


def test_what_users_write_next():
    log = load(
        rows_with(
            conversation=["a", "a", "a", "b", None],
            timestamp=["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-01", "2026-01-01"],
            prompt=["Hi?", "Thanks! And the sum?", "No, that's wrong", "What?", "Why?"],
        )
    )
    assert values(log, "thanked") == [1, 0, 0, 0, None]
    assert values(log, "complained") == [0, 1, 0, 0, None]


def test_a_judges_columns_are_kept():
    log = load(rows_with(next_message=["Thanks", "Wrong", None], thanked=[0, 0, 1]))
    assert values(log, "thanked") == [0, 0, 1]
    assert values(log, "complained") == [0, 1, None]


def test_scores_of_a_tracing_tool_that_say_what_users_did():
    traces = [{"id": name, "input": "q", "output": "a"} for name in "abc"]
    scores = [
        {"traceId": trace, "name": name, "value": value, "source": "API"}
        for trace, name, value in (
            *(("a", "thumbs", 1), ("a", "is_copied", 0), ("a", "is_copied", 1)),
            *(("b", "is_copied", 0), ("b", "retry", 1), ("c", "complaint", "too long")),
        )
    ]
    log = load(traces, scores=scores)
    assert values(log, "feedback") == [1, None, None]
    assert values(log, "copied") == [1, 0, None]
    assert values(log, "regenerated") == [0, 1, 0]
    assert "complained" not in log
    assert log.attrs["load_feedback"]["n_other_scores"] == 1
    assert values(load(traces, scores=scores, feedback_name="is_copied"), "feedback") == [
        1,
        0,
        None,
    ]


def test_what_either_of_two_exports_saw_happened():
    may, june = rows_with(copied=[1, 0, None]), rows_with(copied=[0, 1, None])
    assert values(load([may, june]), "copied") == [1, 1, None]


def log_of(feedback, **signals):
    return load(rows_with(feedback=feedback, **signals))


def test_a_signal_is_safe_unless():
    y = np.tile([1, 0, None, None], 50)
    liked, disliked = y == 1, y == 0
    every_third = np.arange(200) % 3 == 0
    reasons = judge_signals(
        log_of(
            y,
            copied=every_third | liked,
            thanked=liked,
            shared=disliked & every_third | (np.arange(200) == 3),
            regenerated=np.arange(200) < 5,
            edited=liked & ~every_third | (np.arange(200) % 8 == 3),
        )
    )
    assert reasons["copied"] == ""
    assert reasons["thanked"] == "the rating is made of it"
    assert reasons["shared"] == "likelier on disliked answers"
    assert reasons["regenerated"] == "too rare"
    assert reasons["edited"] == "likelier on liked answers"


@pytest.mark.parametrize(("n_unrated", "n_disliked"), [(1, 0), (0, 1), (1, 1), (3, 0), (0, 3)])
def test_a_few_other_ratings_do_not_hide_what_the_rating_is_made_of(n_unrated, n_disliked):
    copied = np.arange(200) < 32
    y = np.where(copied, 1.0, np.where(np.arange(200) % 3 == 0, 0.0, np.nan))
    y[:n_unrated] = np.nan
    y[10 : 10 + n_disliked] = 0
    made_of_it = judge_signals(log_of(y, copied=copied))["copied"] == "the rating is made of it"
    assert made_of_it == (max(n_unrated, n_disliked) < 3)


def test_found_signals_serve_a_fit():
    from skcausalrm import SelectionModel
    from skcausalrm.datasets import make_observational_feedback

    made = make_observational_feedback(1000, 4, signals=("copied", "thanked"), random_state=0)
    log = log_of(made.y, **{name: made.signals[name].astype(bool) for name in made.signals})
    signals = find_signals(log)
    assert list(signals.columns) == ["copied", "thanked"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkcausalrmWarning)
        model = SelectionModel(random_state=0).fit(made.X, made.y, signals=signals)
    assert model.level_source_["signals"] == "used"


@pytest.mark.skipif(not EXPORTS.exists(), reason="real exports are not on this machine")
@pytest.mark.parametrize(
    ("name", "scores", "recorded"),
    [
        ("open_webui/chats_all_admin_db.json", "open_webui/feedbacks_export.json", True),
        ("librechat/messages.jsonl", None, True),
        ("dify/messages_api.json", None, True),
        ("langfuse/ui_traces.csv", "langfuse/ui_scores.csv", False),
        ("mlflow/search_traces.jsonl", None, False),
        ("opik/search_traces.json", None, False),
        ("phoenix/spans.jsonl", "phoenix/annotations.jsonl", False),
    ],
)
def test_real_exports(name, scores, recorded):
    """Nobody thanks in them: the next message is a further question, or the chat ends."""
    log = load(EXPORTS / name, scores=None if scores is None else EXPORTS / scores)
    assert ("regenerated" in log) == recorded
    for signal in ("thanked", "complained", *(["regenerated"] if recorded else ())):
        known = log[signal].notna()
        assert log[signal].dtype == np.float64
        assert (known | log["conversation"].isna() | log["turn"].isna()).all()
        assert log.loc[known, signal].eq(0).all()
    assert find_signals(log).shape[1] == 0
