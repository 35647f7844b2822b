"""`diagnose`: what it finds, what it leaves unchecked and why, which other codes say the same."""

import json
import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import skcausalrm
from skcausalrm import CausalRewardClassifier, CausalRewardRegressor, SelectionModel, diagnose
from skcausalrm import exceptions as public_exceptions
from skcausalrm.datasets import make_observational_feedback
from skcausalrm.exceptions import FeedbackError, GroupsError, InvalidInputError
from skcausalrm.inspection import Findings
from skcausalrm.inspection._catalogue import APART, CATALOGUE
from skcausalrm.reward import _advice, selection_report

pytestmark = pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.SkcausalrmWarning")
N = 640


@pytest.fixture(scope="module")
def log():
    return make_observational_feedback(
        N, 4, n_groups=N // 4, n_users=80, n_verified=120, observed_rate=0.4, random_state=0
    )


@pytest.fixture(scope="module")
def models(log):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {
            method: CausalRewardRegressor(method, random_state=0).fit(
                log.X, log.y, groups=log.groups
            )
            for method in ("naive", "dr", "snips")
        }
        found["selection"] = CausalRewardRegressor("selection", random_state=0).fit(
            log.X, log.y, groups=log.groups, verified=log.verified
        )
        found["alone"] = SelectionModel(random_state=0).fit(log.X, log.y, groups=log.groups)
    return found


def status(findings, *codes):
    return [findings[code].status for code in codes]


def test_every_code_comes_out_one_way_or_the_other(log, models):
    for method in ("naive", "dr", "snips"):
        model = models[method]
        findings = diagnose(model, log.X, log.y, groups=log.groups)
        assert [check.code for check in findings.checks] == list(CATALOGUE)
        assert {check.status for check in findings.checks} <= {"found", "clear", "not checked"}
        assert all(check.text.endswith(".") for check in findings.checks)
        assert len(findings) == len(findings.found) == len(list(findings)) == len(findings.codes)


@pytest.mark.parametrize("method", ["naive", "dr", "selection"])
def test_json_frame_and_repr(log, models, method):
    columns = {"groups": log.groups, "users": log.users, "verified": log.verified}
    findings = diagnose(models[method], log.X, log.y, times=np.arange(N), **columns)
    facts = json.loads(json.dumps(findings.to_dict(), allow_nan=False))
    assert [found["code"] for found in facts["findings"]] == findings.codes
    counted = len(facts["findings"]) + len(facts["clear"]) + len(facts["not_checked"])
    assert counted == len(CATALOGUE)
    frame = findings.to_frame()
    assert list(frame.index) == list(CATALOGUE)
    assert (frame["status"] == "found").sum() == len(findings)
    text = repr(findings)
    assert all(f"not checked: {check.code} " in text for check in findings.not_checked)
    assert all(repr(check) in text for check in findings)


def test_what_does_not_apply_is_named_with_its_reason(log, models):
    findings = diagnose(models["naive"], log.X, log.y)
    reasons = {check.code: check.text for check in findings.not_checked}
    assert reasons["CRM002"] == "'naive' corrects no flips."
    assert reasons["CRM003"] == "nothing in rated rows shows it, and no row is verified."
    assert reasons["CRM005"] == "no groups are given."
    assert reasons["CRM007"] == "no times are given."
    assert reasons["CRM009"] == "no users are given."
    assert reasons["CRM014"] == "no judge_score is given."
    assert reasons["CRM015"] == reasons["CRM018"] == "no row is verified."


def test_a_log_without_unrated_rows_has_no_overlap_to_check(log):
    rated = ~np.isnan(log.y)
    model = CausalRewardRegressor("noise", random_state=0).fit(log.X[rated], log.y[rated])
    findings = diagnose(model, log.X[rated], log.y[rated])
    for code in ("CRM001", "CRM003"):
        assert findings[code].text == "every row is rated."


def test_ranking_and_level_are_those_of_the_report(log, models):
    model, columns = models["selection"], {"groups": log.groups, "verified": log.verified}
    findings = diagnose(model, log.X, log.y, **columns)
    report = selection_report(model, log.X, log.y, **columns)
    figures = findings["CRM011"].figures
    assert figures["advice"] == report["advice_codes"][0]
    for name, found in report["ranking"].items():
        if found is not None:
            assert (figures[f"{name}_low"], figures[f"{name}_high"]) == found["interval"]
    assert findings["CRM013"].figures["doubt"] == report["base_rate_doubt"]
    assert findings["CRM016"].figures["told_by"] == ", ".join(report["level_told_by"])


def test_thumbs_alone_leave_the_level_open(log, models):
    findings = diagnose(models["alone"], log.X, log.y, groups=log.groups)
    assert "CRM013" in findings
    assert findings["CRM016"].text == "the level is open: see CRM013."
    assert "verify about 50 rows" in findings["CRM003"].text


def test_shuffled_ratings_prove_no_ranking(log):
    rng = np.random.default_rng(0)
    y, rated = log.y.copy(), ~np.isnan(log.y)
    y[rated] = rng.permutation(y[rated])
    model = CausalRewardRegressor("dr", random_state=0).fit(log.X, y, groups=log.groups)
    findings = diagnose(model, log.X, y, groups=log.groups, verified=log.verified)
    assert {"CRM011", "CRM018"} <= set(findings.codes)
    assert findings["CRM011"].severity == "serious"


def test_conversations_trained_on(log, models):
    half = np.arange(N) % 2 == 0
    model = CausalRewardRegressor("naive", random_state=0)
    model.fit(log.X[half], log.y[half], groups=log.groups[half])
    findings = diagnose(model, log.X[~half], log.y[~half], groups=log.groups[~half])
    shared = np.isin(np.unique(log.groups[~half]), log.groups[half]).sum()
    assert findings["CRM005"].figures["shared"] == shared > 0
    model.fit(log.X, log.y)
    assert (
        "fitted without groups" in diagnose(model, log.X, log.y, groups=log.groups)["CRM005"].text
    )
    findings = diagnose(models["naive"], log.X, log.y, groups=log.groups)
    assert status(findings, "CRM005") == ["not checked"]


def test_drift_names_the_period(log):
    times = np.arange(N)
    y = np.where((times >= 3 * N // 4) & (log.y == 0), np.nan, log.y)
    finding = diagnose(None, None, y, times=times)["CRM007"]
    assert finding.status == "found"
    assert finding.figures["period"] == 4
    dates = pd.date_range("2026-01-01", periods=N, freq="h", tz="UTC")
    again = diagnose(None, None, y, times=dates)["CRM007"]
    assert again.figures == finding.figures
    assert diagnose(None, None, y, times=dates.astype(str))["CRM007"].figures == finding.figures
    in_list = [i / N for i in range(N)]  # fractions that are all 0 in nanoseconds
    assert diagnose(None, None, y, times=in_list)["CRM007"].figures == finding.figures
    assert diagnose(None, None, log.y, times=times)["CRM007"].status == "clear"
    assert diagnose(None, None, y, times=np.zeros(N))["CRM007"].status == "not checked"


def test_agreement_on_equal_answers():
    rng = np.random.default_rng(0)
    quality = rng.random(300) < 0.5
    answers = np.repeat(np.arange(300), 3)
    same = np.where(rng.random(900) < 0.15, ~quality[answers], quality[answers]).astype(float)
    assert diagnose(None, None, same, answers=answers)["CRM008"].status == "clear"
    agreement = diagnose(None, None, same, answers=answers)["CRM008"].figures["agreement"]
    assert agreement == pytest.approx((1 - 2 * 0.15) ** 2, abs=0.1)
    assert "CRM008" in diagnose(None, None, rng.permutation(same), answers=answers)
    X = np.repeat(rng.normal(size=(300, 2)), 3, axis=0)
    assert diagnose(None, X, same)["CRM008"].figures["agreement"] == agreement


def test_users_folds_lengths_and_classes(log):
    users = np.where(np.arange(N) % 3 == 0, "bot", log.users.astype(str))
    groups = np.where(np.arange(N) < N // 2, "all", np.arange(N).astype(str))
    findings = diagnose(None, None, log.y, users=users, groups=groups, n_shortened=N // 10)
    assert {"CRM009", "CRM010", "CRM012"} <= set(findings.codes)
    assert findings["CRM009"].figures["largest_share"] > 0.25
    assert findings["CRM010"].figures["largest_group"] == 0.5
    assert findings["CRM017"].status == "clear"
    few = np.where(np.arange(N) < 40, 1.0, np.nan)
    few[0] = 0
    assert "CRM017" in diagnose(None, None, few)


def test_a_judge_is_held_against_verified_rows_or_thumbs(log):
    rng = np.random.default_rng(0)
    good, noise = log.reward + 0.5 * rng.normal(size=N), rng.normal(size=N)
    for verified in (log.verified, None):
        columns = {"verified": verified}
        assert diagnose(None, None, log.y, judge_score=good, **columns)["CRM014"].status == "clear"
        assert "CRM014" in diagnose(None, None, log.y, judge_score=noise, **columns)


def test_a_wrong_level_is_contradicted_by_verified_rows(log, models):
    """Verified rows that were fitted with cannot contradict."""
    verified = np.where(np.isnan(log.verified), np.nan, 1.0)
    assert "CRM015" in diagnose(models["naive"], log.X, log.y, verified=verified)
    columns = {"groups": log.groups, "verified": log.verified}
    follows = diagnose(models["selection"], log.X, log.y, **columns)["CRM015"]
    assert "follows them" in follows.text


def test_the_level_of_a_correct_reward_has_the_error_of_its_ratings():
    """Without the error of the 30 ratings, z has a standard deviation of 4."""
    z = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        X, label = rng.normal(size=(600, 2)), (rng.random(600) < 0.5).astype(float)
        y = np.where(np.arange(600) < 30, label, np.nan)
        model = CausalRewardRegressor("naive", random_state=0).fit(X, y)
        z.append(diagnose(model, X, y, verified=label)["CRM015"].figures["z"])
    assert np.std(z) < 2


def test_rewards_of_training_rows_are_out_of_fold(log):
    """A head that knows its rows by heart is judged on other rows."""
    y = np.where(np.isnan(log.y), np.nan, np.arange(N) % 2)
    model = CausalRewardRegressor("naive", estimator=KNeighborsRegressor(1), random_state=0)
    verified = np.where(y == 1, 1.0, np.nan)
    finding = diagnose(model.fit(log.X, y), log.X, y, verified=verified)["CRM015"]
    assert finding.figures["good"] == 1
    assert finding.figures["reward"] < 0.7


def test_weights_count_where_the_docstring_says_so(log, models):
    weight = np.random.default_rng(0).exponential(size=N)
    columns = {"verified": log.verified, "users": log.users, "times": np.arange(N)}
    documented = re.search(r"sample_weight : .*?asked :", diagnose.__doc__, re.DOTALL)
    counted = set(re.findall(r"CRM\d+", documented.group()))
    plain, weighted = (
        diagnose(models["dr"], log.X, log.y, groups=log.groups, sample_weight=given, **columns)
        for given in (None, weight)
    )
    changed = {code for code in CATALOGUE if plain[code].figures != weighted[code].figures}
    assert {"CRM001", "CRM003", "CRM011", "CRM015"} <= changed <= counted


def test_a_pipeline_counts_the_answers_that_its_encoder_shortened(log):
    class Encoder(FunctionTransformer):
        truncated_answer_count_ = N // 2

    pipeline = make_pipeline(Encoder(), CausalRewardRegressor("naive", random_state=0))
    findings = diagnose(pipeline.fit(log.X, log.y), log.X, log.y)
    assert findings["CRM012"].figures["share"] == 0.5


def test_labels_by_any_name(log):
    named = np.where(np.isnan(log.y), None, np.where(log.y == 1, "up", "down"))
    model = CausalRewardClassifier("dr", random_state=0).fit(log.X, named, groups=log.groups)
    findings = diagnose(model, log.X, named, groups=log.groups)
    numbers = CausalRewardRegressor("dr", random_state=0).fit(log.X, log.y, groups=log.groups)
    assert findings.to_dict() == diagnose(numbers, log.X, log.y, groups=log.groups).to_dict()
    with pytest.raises(FeedbackError, match="a label other than"):
        diagnose(model, log.X, np.where(named == "up", "yes", named))


def test_graded_feedback_is_not_checked_for_flips(log):
    y = np.where(np.isnan(log.y), np.nan, log.y + 0.25)
    model = CausalRewardRegressor("dr", random_state=0).fit(log.X, y)
    findings = diagnose(model, log.X, y, verified=None)
    assert status(findings, "CRM006", "CRM011", "CRM017") == ["not checked"] * 3
    assert findings["CRM001"].status != "not checked"


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"X": None}, InvalidInputError, "X is None"),
        ({"model": LogisticRegression()}, InvalidInputError, "has nothing to check"),
        ({"y": None}, FeedbackError, "y is None"),
        ({"y": np.ones(3)}, FeedbackError, "3 values for 640 rows"),
        ({"groups": np.zeros(3)}, GroupsError, "groups has shape"),
        ({"users": np.zeros(3)}, GroupsError, "users has shape"),
        ({"times": np.zeros(3)}, InvalidInputError, "times has 3 values"),
        ({"y": ["good"] * N, "model": None, "X": None}, FeedbackError, "y holds what is no number"),
        ({"y": [], "model": None, "X": None}, FeedbackError, "y has no values"),
        ({"times": ["2026-01-05", 7] * (N // 2)}, InvalidInputError, "some are numbers"),
        ({"times": ["yesterday?"] * N}, InvalidInputError, "neither a date nor a number"),
        ({"answers": ["a"]}, InvalidInputError, "answers has shape"),
        ({"n_shortened": -1}, InvalidInputError, "n_shortened is -1"),
        ({"verified": np.full(N, 2.0)}, FeedbackError, "verified holds 640 values"),
        ({"judge_score": np.full(N, np.nan)}, FeedbackError, "judge_score is NaN"),
    ],
)
def test_wrong_input_is_named(log, models, settings, error, message):
    given = {"model": models["naive"], "X": log.X, "y": log.y} | settings
    if isinstance(given["model"], LogisticRegression):
        given["model"] = given["model"].fit(log.X, log.reward)
    with pytest.raises(error, match=re.escape(message)):
        diagnose(given.pop("model"), given.pop("X"), given.pop("y"), **given)


def test_an_unknown_code_is_named(log):
    with pytest.raises(InvalidInputError, match="There is no finding 'CRM099'"):
        diagnose(None, None, log.y)["CRM099"]
    assert isinstance(diagnose(None, None, np.full(5, np.nan)), Findings)


def test_advice_and_warnings_are_findings_or_have_a_reason_not_to_be():
    same = [code for about in CATALOGUE.values() for code in about.same_as]
    assert len(same) == len(set(same))
    assert not set(same) & set(APART)
    documented = {
        code
        for name in dir(public_exceptions)
        if name.endswith("Warning")
        for code in re.findall(r'"([a-z-]+)"', getattr(public_exceptions, name).__doc__ or "")
    } - {"auto", "selection"}
    raised = {"judge-chance", "judge-reversed"}  # documented by `judge_report`
    assert documented | set(_advice._SENTENCES) | raised == set(same) | set(APART)
    assert skcausalrm.diagnose is diagnose


def test_the_page_has_a_section_for_each_code():
    page = Path(skcausalrm.__file__).parents[1] / "docs" / "guide" / "findings.md"
    if not page.exists():
        pytest.skip("the documentation is not in this distribution")
    text = page.read_text()
    for code, about in CATALOGUE.items():
        same = ", ".join(f"`{other}`" for other in about.same_as)
        assert f"| [{code}](#{code.lower()}) | {about.title} | {about.severity} | {same} |" in text
        section = f"({code.lower()})= ## {code}: {about.title} {about.why}"
        assert section in " ".join(text.split())
