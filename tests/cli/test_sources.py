"""Users, instruments and signals on the command line."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest

from skcausalrm.cli._logs import FeedbackLog, read_log
from skcausalrm.cli._options import parse_instruments, parse_signals
from skcausalrm.cli._pseudo_outcomes import by_selection
from skcausalrm.cli._sources import Named, read_sources
from skcausalrm.datasets import load_feedback, make_observational_feedback
from skcausalrm.exceptions import FeedbackError, SkcausalrmWarning, UnusedParameterError


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "log.jsonl"
    n = 60
    pd.DataFrame(
        {
            "prompt": [f"q{k}" for k in range(n)],
            "completion": "a",
            "feedback": [1, 0, None] * 20,
            "user_id": [f"u{k % 7}" for k in range(n)],
            "account": [f"x{k % 5}" for k in range(n)],
            "is_copied": [True, False, False] * 20,
            "edited": [k == 3 for k in range(n)],
            "saved": [k % 2 for k in range(n)],
            "prompted": [k % 4 == 0 for k in range(n)],
            "place": ["3", None] * 30,
            "device": ["phone", "web"] * 30,
            "empty": None,
        }
    ).to_json(path, orient="records", lines=True)
    return path


@pytest.fixture
def frame(path):
    return load_feedback(path)


def test_found_signals_and_users_are_the_default(frame):
    found = read_sources(frame)
    assert found.columns == {}  # copied is what was rated, and edited happened once
    assert found.signals["copied"]["left_out"] == "the rating is made of it"
    assert found.signals["edited"]["left_out"] == "too rare"
    assert (found.signals["copied"]["happened"], found.signals["copied"]["seen"]) == (20, 60)
    assert found.users.tolist() == frame["user"].tolist()


def test_named_sources(frame):
    named = Named("account", ["prompted", "place"], {"saved": "positive", "is_copied": None})
    found = read_sources(frame, named)
    assert found.users.tolist() == frame["account"].tolist()
    assert list(found.columns["signals"].columns) == ["saved", "copied"]
    assert found.columns["signal_directions"] == {"saved": "positive"}
    np.testing.assert_array_equal(found.columns["instruments"][:3], [[1, 3], [0, np.nan], [0, 3]])
    assert found.signals["copied"]["direction"] == "positive"
    assert read_sources(frame, Named(signals={"saved": "positive"})).signals["copied"]["left_out"]
    assert read_sources(frame, Named(signals={})).columns == {}
    named = Named(signals={"liked_it": "positive", "flagged": "negative"})
    words = frame.assign(liked_it=["yes", "no", None] * 20, flagged=[1, None, None] * 20)
    signals = read_sources(words, named).columns["signals"]
    np.testing.assert_array_equal(signals[:3], [[1, 1], [0, 0], [np.nan, 0]])


@pytest.mark.parametrize(
    ("named", "error", "sentence"),
    [
        (Named(instruments=["nowhere"]), UnusedParameterError, "--instruments names nowhere, but"),
        (Named(users="nowhere"), UnusedParameterError, "--users names nowhere, but"),
        (Named(instruments=["device"]), FeedbackError, "'phone' or the like in 60 of 60 rows"),
        (Named(instruments=["empty"]), FeedbackError, "is empty throughout"),
        (Named(instruments=["feedback"]), UnusedParameterError, "column feedback has another use"),
        (Named(signals={"prompt": "positive"}), UnusedParameterError, "leave it out of --signals"),
    ],
)
def test_columns_that_cannot_serve(frame, named, error, sentence):
    with pytest.raises(error, match=sentence):
        read_sources(frame, named)


def test_options():
    assert parse_instruments("a, b") == ["a", "b"]
    assert (parse_signals("auto"), parse_signals("none")) == ("auto", {})


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["fit", "--out", "m", "--method", "dr", "--instruments", "prompted"], "no instruments"),
        (["fit", "--out", "m", "--instruments", "a,,b"], "names of columns"),
        (["inspect", "--instruments", "device"], "no number: write one"),
    ],
)
def test_bad_usage(run, path, arguments, sentence):
    result = run(arguments[0], path, *arguments[1:])
    assert result.exit_code == 2
    assert sentence in " ".join(result.stderr.replace("│", " ").split())


def test_inspect_prints_what_is_found_and_used(run, path):
    result = run(
        "inspect", path, "--examples", 0, "--instruments", "place", "--signals", "saved:-",
        "--users", "account",
    )  # fmt: skip
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "users 5" in lines
    assert "instruments place" in lines
    assert "signal saved 50.0% of 60 rows, negative" in lines
    assert any(line.startswith("signal copied 33.3% of 60 rows, positive; not") for line in lines)
    facts = json.loads(run("inspect", path, "--json").stdout)
    assert set(facts["signals"]) == {"copied", "edited"}


def test_a_later_log_is_read_as_the_first_one_was(path, tmp_path, capsys):
    first = Named(None, ["place", "prompted"], {"saved": "positive", "is_copied": None})
    later = tmp_path / "later.jsonl"
    log = pd.read_json(path, lines=True).drop(columns=["place", "is_copied"])
    log.to_json(later, orient="records", lines=True)
    found = read_log([later], of_model=first).sources
    assert list(found.columns["signals"].columns) == ["saved"]
    assert found.columns["instruments"].shape == (60, 1)
    assert "not in this log, but known at the fit: is_copied, place" in capsys.readouterr().err
    found = read_log([later], named=Named(signals={}), of_model=first).sources
    assert set(found.columns) == {"instruments"}


def test_a_later_log_is_read_by_what_was_found_at_the_fit(path, tmp_path, capsys):
    log = pd.read_json(path, lines=True)
    log = log.assign(is_copied=log.index % 4 < 2, user_id=log["user_id"].astype(str))
    paths = {}
    for name, frame in (("both", log), ("neither", log.drop(columns=["is_copied", "user_id"]))):
        paths[name] = tmp_path / f"{name}.jsonl"
        frame.to_json(paths[name], orient="records", lines=True)
    both, neither = (read_log([paths[name]]).sources.read_by("selection") for name in paths)
    assert both == Named("user", None, {"copied": "positive"})
    assert neither == Named(None, None, {})
    later = read_log([paths["neither"]], of_model=Named(**json.loads(json.dumps(vars(both)))))
    assert later.sources.columns == {}
    assert later.users is None
    assert "not in this log, but known at the fit: copied, user" in capsys.readouterr().err
    assert read_log([paths["both"]], of_model=neither).sources.columns == {}
    again = read_log([paths["both"]], named=Named(signals="auto"), of_model=neither).sources
    assert list(again.columns["signals"]) == ["copied"]


def test_evaluation_uses_users_signals_and_instruments():
    made = make_observational_feedback(
        1200, 4, n_users=120, signals=("copied", "thanked"), random_state=0
    )
    frame = pd.DataFrame(made.signals).assign(user=made.users, flat=1.0)
    frame["feedback"] = made.y
    frame.attrs["load_feedback"] = {}
    judge = made.reward + np.random.default_rng(0).normal(size=len(made.y))
    log = FeedbackLog(
        frame,
        made.y,
        np.arange(len(made.y)),
        {"judge_score": judge},
        read_sources(frame, Named(instruments=["flat"])),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkcausalrmWarning)
        *_, told_by = by_selection(made.X, log, {}, 0, None)
    assert told_by["signals"] == told_by["users"] == told_by["judge_score"] == "used"
    assert told_by["instruments"] == "not used: they do not move who rates"
