"""``skcausalrm compare``: one table, one sentence, and errors that say what to do."""

import json

import pandas as pd
import pytest

from skcausalrm.datasets import make_feedback_logs

SYSTEMS = {"assistant-base", "assistant-large", "assistant-small"}


@pytest.fixture(scope="module")
def log(workspace, tmp_path_factory):
    """The log of the session, whose texts are in the cache of embeddings."""
    return pd.concat(
        [pd.read_json(path, lines=True) for path in (workspace.train, workspace.held_out)]
    )


def write(frame, path):
    frame.to_json(path, orient="records", lines=True, date_format="iso")
    return path


@pytest.fixture(scope="module")
def compared(log, workspace, with_small_encoder, run, tmp_path_factory):
    path = write(log, tmp_path_factory.mktemp("compare") / "log.jsonl")
    given = ("compare", path, "--by", "model", "--cache-dir", workspace.cache)
    with with_small_encoder():
        return run(*given, "--json"), run(*given, "--baseline", "assistant-small")


def test_json_has_what_the_dashboard_says_and_what_is_estimated(compared, log):
    done = compared[0]
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    sets = {row["set"]: row for row in found["sets"]}
    assert set(sets) == SYSTEMS
    for name, part in log.groupby("model"):
        row = sets[name]
        assert row["rows"] == len(part)
        assert row["rated_share"] == pytest.approx(part["feedback"].notna().mean())
        assert row["liked_share"] == pytest.approx(part["feedback"].mean())
        assert row["verified"] == part["verified"].notna().sum()
        assert row["low"] < row["estimate"] < row["high"]
    truth = make_feedback_logs(360, observed_rate=0.5, n_verified=60, random_state=0)
    good = truth.frame.assign(good=truth.reward).groupby("model")["good"].mean()
    assert all(sets[name]["low"] < good[name] < sets[name]["high"] for name in SYSTEMS)
    assert found["order"] == [row["set"] for row in found["sets"]]
    assert set(found["naive_order"]) == SYSTEMS
    assert "level is a guess" not in done.stderr  # the verified rows settle it


def test_the_table_shows_every_system_and_one_sentence(compared):
    done = compared[1]
    assert done.exit_code == 0, done.stderr
    assert "points more than assistant-small" in done.stdout
    lines = [line.split() for line in done.stdout.splitlines()]
    assert {words[0] for words in lines if words} >= SYSTEMS
    assert "Raw thumbs give" in done.stdout.splitlines()[-1]


def test_systems_under_the_name_that_the_log_has(log, workspace, run, tmp_path):
    renamed = log.rename(columns={"model": "model_name"}).assign(prompt_version="v1")
    path = write(renamed, tmp_path / "log.jsonl")
    given = ("compare", path, "--cache-dir", workspace.cache, "--by")
    unknown = run(*given, "models_")
    assert unknown.exit_code == 2
    assert "--by names models_, but" in unknown.stderr
    assert "prompt_version" in unknown.stderr
    one = run(*given, "prompt_version")
    assert one.exit_code == 2
    assert "by names 1 system" in one.stderr
    nobody = write(log.assign(feedback=None), tmp_path / "unrated.jsonl")
    unrated = run("compare", nobody, "--by", "model", "--cache-dir", workspace.cache)
    assert unrated.exit_code == 2
    assert "feedback" in unrated.stderr
