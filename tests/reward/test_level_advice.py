"""Users, instruments and signals as what settles the level, on logs that deserve it and not."""

import warnings

import numpy as np
import pytest

from skcausalrm import CausalRewardRegressor
from skcausalrm.datasets import make_observational_feedback
from skcausalrm.exceptions import SkcausalrmWarning
from skcausalrm.metrics._estimate import Estimate
from skcausalrm.reward import selection_report
from skcausalrm.reward._advice import Evidence, advice, advice_codes


def report_on(log, **given):
    clusters = {name: given[name] for name in ("users", "verified") if name in given}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkcausalrmWarning)
        model = CausalRewardRegressor("selection", random_state=0).fit(log.X, log.y, **given)
        return selection_report(model, log.X, log.y, **clusters)


@pytest.fixture(scope="module")
def log():
    """A log in which 1,000 people, some of whom rate nearly everything, leave strong thumbs."""
    return make_observational_feedback(
        6000, 6, signal="strong", observed_rate=0.3, n_users=1000, random_state=0
    )


@pytest.fixture(scope="module")
def short():
    return make_observational_feedback(
        1500, 4, selection="reward", n_users=150, signals=("copied", "regenerated"), random_state=0
    )


def test_users_who_rate_nearly_everything_make_the_level_reliable(log):
    report = report_on(log, users=log.users)
    assert report["level_told_by"] == ["users"]
    assert report["advice_codes"][1] == "level-reliable"
    assert abs(report["base_rate"] - log.probability.mean()) < 0.1
    assert "The level is reliable by users, if those who rate a lot are no more" in report["advice"]


def test_the_same_log_with_users_drawn_by_lot_leaves_it_open(log):
    report = report_on(log, users=np.random.default_rng(0).permutation(log.users))
    assert report["level_told_by"] == []
    assert report["advice_codes"][1] == "level-open"


def test_a_few_keen_people_or_none_have_no_say(short):
    few = np.where(short.users % 15 == 0, short.users % 4, 1000 + np.arange(1500))
    y = np.where(few < 1000, np.where(np.isnan(short.y), short.reward, short.y), short.y)
    report = report_on(type(short)(X=short.X, y=y), users=few)
    assert report["level_source"]["users"] == "used"
    assert "users" not in report["level_told_by"]
    lazy = make_observational_feedback(
        1500, 4, n_users=150, habits=0.7, observed_rate=0.1, random_state=1
    )
    report = report_on(lazy, users=lazy.users)
    assert report["level_source"]["users"] == "used"
    assert report["instrument_reach"] < 0.5
    assert report["level_told_by"] == []


def test_signals_have_a_say_where_they_follow_the_reward(short):
    rng = np.random.default_rng(0)
    noise = {"copied": rng.random(1500) < 0.2, "regenerated": rng.random(1500) < 0.1}
    told = {
        name: report_on(short, signals=signals)["level_told_by"]
        for name, signals in (("real", short.signals), ("noise", noise))
    }
    assert told == {"real": ["signals"], "noise": []}


def test_verified_rows_need_no_assumption():
    good, level = (Estimate(score, 0.01, score - 0.02, score + 0.02) for score in (0.8, 0.0))
    sentences = {
        told: advice(
            advice_codes(evidence := Evidence(good, good, None, level, False, told, 0, (0.4, 0.5))),
            evidence,
        )
        for told in (("users", "signals"), ("verified", "users"))
    }
    assert "by users and signals, if those who rate a lot" in sentences["users", "signals"]
    assert (
        "and what users do with an answer follows how good it is" in sentences["users", "signals"]
    )
    assert "The level is reliable: the share" in sentences["verified", "users"]
