"""`evaluate` over time: periods that are merged, what has moved, exit statuses."""

import json

import numpy as np
import pandas as pd
import pytest

from skcausalrm.cli._monitoring import is_alarm, print_watched
from skcausalrm.inference._changes import Change
from skcausalrm.inspection import _watch
from skcausalrm.inspection._periods import merge_periods
from skcausalrm.inspection._watch import Rows, watch_rows

N_WEEKS, PER_WEEK = 24, 200


def log(*, reward=0.0, rated=0.0, level=0.0, silent=(), at=12, seed=0):
    """Return rows and weeks of a log in which something moves by so much from a week on."""
    rng = np.random.default_rng(seed)
    week = np.repeat(np.arange(N_WEEKS), PER_WEEK)
    later = week >= at
    prediction = np.clip(0.6 + reward * later + 0.1 * rng.normal(size=len(week)), 0, 1)
    is_rated = rng.random(len(week)) < np.where(np.isin(week, silent), 0, 0.3 + rated * later)
    liked = rng.random(len(week)) < 0.6 + level * later
    z = 0.6 + np.where(is_rated, (liked - 0.6) / (0.3 + rated * later), 0)
    groups = np.arange(len(week)) // 2
    rows = Rows(
        prediction, is_rated, is_rated & liked, np.column_stack([z, z + 0.02]), (groups, None)
    )
    return rows, pd.Series(week).map("2026-{:02d}".format)


def watched(**changes):
    rows, weeks = log(**changes)
    return watch_rows(rows, merge_periods(weeks, np.ones(len(weeks), dtype=bool), 30))


@pytest.mark.parametrize(
    ("changes", "moved", "words"),
    [
        ({}, set(), "No sure change of reward and of share rated and of level."),
        ({"reward": -0.1}, {"reward"}, "the ratings do not show it yet"),
        ({"rated": -0.15}, {"share_rated"}, "Who rates has changed, not how good"),
        ({"level": -0.3}, {"level"}, "The model does not see what has changed"),
        ({"level": -0.3, "rated": -0.15}, {"level", "share_rated"}, "thumbs may mean something"),
        ({"silent": (20, 21, 22, 23)}, {"share_rated"}, "ALARM: share rated"),
    ],
)
def test_the_alarm_says_what_has_moved(changes, moved, words):
    found = watched(**changes)
    assert words in found["verdict"]
    assert {k for k, change in found["changes"].items() if change["alarm"]} == moved
    assert is_alarm(found) == bool(moved)
    for name in moved:
        assert abs(int(found["changes"][name]["since"][5:]) - changes.get("silent", [12])[0]) <= 1
    json.dumps(found, allow_nan=False)


def test_weeks_without_ratings_have_no_level_and_are_no_loss_of_it():
    found = watched(silent=(8, 9, 10))
    assert [p["level"] is None for p in found["periods"]] == [8 <= k < 11 for k in range(N_WEEKS)]
    assert found["periods"][8]["share_liked"] is None
    assert found["periods"][8]["share_rated"]["value"] == 0
    assert not found["changes"]["level"]["alarm"]


def test_small_periods_are_merged_with_the_next_or_left_out():
    names = pd.Series(["b"] * 5 + ["a"] * 40 + ["c"] * 30 + ["d"] * 3 + [None] * 2)
    found = merge_periods(names, np.ones(80, dtype=bool), 30)
    assert found.names == ["a", "b"]
    assert found.sizes == [1, 2]
    assert found.n_left_out == 3
    assert found.labels().value_counts().to_dict() == {"a": 40, "b": 35}
    empty = merge_periods(names[:0], np.ones(0, dtype=bool), 30)
    assert empty.names == []


def test_too_few_rows_for_any_period(capsys):
    rows, weeks = log()
    few = Rows(*(part[:20] for part in rows[:4]), (rows.clusters[0][:20], None))
    found = watch_rows(few, merge_periods(weeks[:20], np.ones(20, dtype=bool), 30), fail_below=0.9)
    assert found["periods"] == []
    assert found["shortfall"] is None
    assert not is_alarm(found)
    print_watched(found)
    assert "20 rows wait" in capsys.readouterr().out


def test_evaluate_exits_with_3(workspace, run, monkeypatch):
    command = ("evaluate", workspace.model, workspace.held_out, "--cache-dir", workspace.cache)
    with monkeypatch.context() as patch:
        patch.setattr(_watch, "find_shortfall", lambda *_, **__: Change(0, -0.2, -0.3, -0.1, None))
        found = run(*command, "--fail-below", "1", "--alarm", "0.05", "--json")
    assert found.exit_code == 3
    result = json.loads(found.stdout)["monitoring"]
    assert result["shortfall"]["alarm"]
    assert result["verdict"].startswith("No alarm is possible yet: 4 periods")
    assert sum(part["rows"] for part in result["periods"]) + result["rows_left_out"] == 184
    quiet = run(*command, "--fail-below", "0.1", "--alarm", "0.05", "--since", "2026-03-20")
    assert quiet.exit_code == 0
    assert "is not surely below 0.1" in quiet.stdout
    assert run(*command, "--since", "spring").exit_code == 2


def test_a_fit_keeps_the_distribution_of_its_rewards(workspace):
    from skcausalrm.export import load_model_directory

    kept = load_model_directory(workspace.model).reward_reference
    assert len(kept["points"]) == len(kept["shares"]) == 9
    assert np.diff(kept["points"]).min() >= 0
    assert kept["shares"][4] == pytest.approx(0.5, abs=0.02)
