"""The benchmark on real votes: its logs are what its page says, and its page can say missed."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"

pytestmark = pytest.mark.skipif(
    not (ROOT / "benchmarks" / "real_votes.py").exists(),
    reason="benchmarks are not in this distribution",
)


@pytest.fixture(scope="module")
def real_votes():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        import real_votes

        yield real_votes


@pytest.fixture(scope="module")
def votes(real_votes):
    """600 dialogs of 5 answers; 10 of 200 people vote on each dialog, half of them leniently."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(600), 5)
    voter = np.array([rng.choice(200, 10, replace=False) for _ in range(600)])[groups]
    quality = rng.random((3000, 1))
    good = (rng.random(voter.shape) < np.where(voter < 100, 0.5 + quality / 2, quality)).astype(
        float
    )
    X = np.hstack([quality, rng.normal(size=(3000, 7))]).astype(np.float32)
    return real_votes.Votes(X, groups, good, voter)


@pytest.mark.parametrize("rule", ["random", "reward, 3 times", "reward, 10 times", "habit"])
def test_a_fifth_is_rated_by_the_rule(real_votes, votes, rule):
    log = real_votes.draw(votes, rule, 0)
    assert log.rated.mean() == pytest.approx(0.2, abs=0.15 if rule == "habit" else 0.03)
    bad, good = (log.rated[log.truth == value].mean() for value in (0, 1))
    times = float(rule.split()[1]) if rule.startswith("reward") else 1
    assert good / bad == pytest.approx(times, rel=0.25)


def test_people_rate_with_their_own_votes_and_habits(real_votes, votes):
    log = real_votes.draw(votes, "habit", 1)
    by_dialog = log.rated.reshape(600, 5).mean(axis=1)
    assert (by_dialog == 0).mean() > 0.5
    assert (by_dialog == 1).mean() > 0.05
    # In each dialog one column of votes is the thumb of all its answers.
    same = (votes.good == log.answer[:, None]).reshape(600, 5, 10).all(axis=1)
    assert same.any(axis=1).all()
    assert 0.1 < log.top_tenth < 1


def test_the_truth_does_not_know_the_thumb(real_votes, votes):
    flipped = votes._replace(good=1 - votes.good)
    log, other = (real_votes.draw(data, "random", 0) for data in (votes, flipped))
    np.testing.assert_array_equal(other.answer, 1 - log.answer)
    others = (votes.good.sum(axis=1) - log.answer) / 9
    np.testing.assert_array_equal(log.truth, others >= 0.5)


def test_captions_are_rated_as_they_were_shown(real_votes, votes):
    shown = np.where(np.arange(3000) < 1500, 30.0, 10.0)
    data = votes._replace(shown=shown, truth=np.ones(3000))
    log = real_votes.draw(data, "exposure", 0)
    assert log.rated[:1500].mean() / log.rated[1500:].mean() == pytest.approx(3, rel=0.2)
    assert (log.truth == 1).all()


def test_a_split_is_scored_by_every_method_and_the_page_says_what_is_missed(
    real_votes, votes, tmp_path
):
    cell = real_votes.Cell("dialogs", "reward, 10 times", 0)
    results = real_votes.run([cell], {"dialogs": votes}, tmp_path, jobs=1)
    assert results["method"].nunique() == len(results) == 8
    results = pd.concat([results, results.assign(seed=1)])
    assert np.isfinite(results[["AUROC", "R2", "level"]]).all(axis=None)
    assert (results["AUROC"] > 0.8).all()
    text = real_votes.page(results, {"dialogs": votes}, "command")
    assert "nan" not in text
    for change, verdict in ((-0.2, "**missed**"), (0.2, "| met |")):
        changed = results.copy()
        changed.loc[changed["method"] == "selection", "AUROC"] += change
        assert verdict in real_votes.goals(changed)


@pytest.mark.skipif(not (DATA / "real").exists(), reason="there is no ../shared/data/real")
def test_real_dialogs_are_as_their_readme_says(real_votes):
    votes = real_votes.dialogs(DATA)
    assert votes.X.shape == (6150, 384)
    assert votes.good.shape == votes.voter.shape == (6150, 30)
    answers = pd.read_parquet(DATA / "real" / "dbdc3_answers.parquet")
    np.testing.assert_array_equal(votes.good.sum(axis=1), answers["n_O"])
    log = real_votes.draw(votes, "habit", 0)
    assert log.answer[log.truth == 0].mean() == pytest.approx(0.28, abs=0.03)
    assert log.answer[log.truth == 1].mean() == pytest.approx(0.6, abs=0.05)
