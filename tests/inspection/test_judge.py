import numpy as np
import pytest

from skcausalrm.exceptions import AssumptionWarning, FeedbackError
from skcausalrm.inspection import judge_report


def draw(seed, n=2000, m=100, sensitivity=0.9, specificity=0.75, base_rate=0.3):
    rng = np.random.default_rng(seed)
    good = rng.random(n) < base_rate
    passes = np.where(good, rng.random(n) < sensitivity, rng.random(n) > specificity)
    return good, passes.astype(float), np.where(np.arange(n) < m, good, np.nan)


def test_intervals_hold_the_truth_and_a_judge_narrows_them():
    reports = [judge_report(*draw(seed)[1:]) for seed in range(100)]
    for name, truth in {
        "good_rate": 0.3,
        "corrected_pass_rate": 0.3,
        "pass_rate": 0.3 * 0.9 + 0.7 * 0.25,
        "sensitivity": 0.9,
        "specificity": 0.75,
    }.items():
        rates = [getattr(report, name) for report in reports]
        covered = np.mean([rate.low <= truth <= rate.high for rate in rates])
        assert 0.83 <= covered <= 0.98, name
        assert np.mean([rate.value for rate in rates]) == pytest.approx(truth, abs=0.02)
    width = {
        name: np.mean([getattr(r, name).high - getattr(r, name).low for r in reports])
        for name in ("good_rate", "verified_rate", "corrected_pass_rate")
    }
    assert width["good_rate"] < 0.87 * width["verified_rate"] < width["corrected_pass_rate"]


def test_as_many_more_labels_as_it_asks_for_give_the_width():
    report = judge_report(*draw(0)[1:])
    more = report.labels_needed(0.08)
    longer = judge_report(*draw(0, m=100 + int(more))[1:]).good_rate
    assert longer.high - longer.low == pytest.approx(0.08, rel=0.1)
    assert report.labels_needed(1.0) == 0
    # 2,000 judged rows leave .02 for a judge that is nearly right
    sure = judge_report(*draw(0, sensitivity=0.99, specificity=0.99)[1:])
    assert sure.labels_needed(0.01) == np.inf


def test_graded_scores_without_some_and_their_middle():
    good, passes, verified = draw(0)
    scores = passes * 6 + np.random.default_rng(1).random(2000) * 4  # 0 to 10, the middle at 5
    binary = judge_report(passes, verified)
    graded = judge_report(scores, verified)
    assert graded.threshold == pytest.approx(5, abs=0.1)
    assert graded.pass_rate == binary.pass_rate
    assert graded.kappa == binary.kappa
    assert judge_report(scores, verified, threshold=8.0).pass_rate.value < 0.4
    at = graded.roc.iloc[(graded.roc["threshold"] - 5).abs().argmin()]
    assert at["sensitivity"] == pytest.approx(graded.sensitivity.value, abs=0.03)
    assert at["specificity"] == pytest.approx(graded.specificity.value, abs=0.03)
    some = np.where(np.arange(2000) % 2, np.nan, scores)
    assert judge_report(some, verified).pass_rate.n == 1000
    assert judge_report(some, verified).verified_rate.n == 50
    assert good.mean() == pytest.approx(0.3, abs=0.03)


def test_rows_that_share_a_conversation_or_user_count_for_less():
    _, passes, verified = draw(0, n=400)
    alone = judge_report(passes, verified)
    ids = np.tile(np.arange(400), 5)
    copies = np.tile(passes, 5), np.tile(verified, 5)
    for clusters in ({"groups": ids}, {"users": ids}, {"groups": ids, "users": ids}):
        report = judge_report(*copies, **clusters)
        for name in ("pass_rate", "good_rate", "sensitivity"):
            one, five = getattr(alone, name), getattr(report, name)
            assert five.value == pytest.approx(one.value)
            assert five.high - five.low == pytest.approx(one.high - one.low, rel=0.02)
    assert judge_report(*copies).good_rate.high < report.good_rate.high


def test_a_judge_without_an_error_is_not_sure():
    good, _, verified = draw(0, m=40)
    report = judge_report(good.astype(float), verified)
    assert report.kappa == report.sensitivity.value == report.specificity.value == 1
    assert report.good_rate.high - report.good_rate.low > 0.05


@pytest.mark.filterwarnings("error")
def test_chance_is_called_chance():
    good, _, verified = draw(0)
    coin = (np.random.default_rng(3).random(2000) < 0.5).astype(float)
    with pytest.raises(AssumptionWarning, match="may be chance") as raised:
        judge_report(coin, verified)
    assert raised.value.code == "judge-chance"
    judge_report(good.astype(float), verified)


@pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.AssumptionWarning")
def test_a_judge_that_is_no_better_than_chance_narrows_nothing():
    good, _, verified = draw(0)
    report = judge_report(1 - good, verified)  # always wrong: as good as always right
    assert np.isnan(report.corrected_pass_rate.value)
    assert report.corrected_pass_rate[1:3] == (0, 1)
    assert report.good_rate.value == pytest.approx(good.mean())
    everything = judge_report(np.ones(2000), verified)
    assert everything.good_rate.value == pytest.approx(everything.verified_rate.value)


def test_too_few_labels():
    _, passes, verified = draw(0, m=8)
    with pytest.raises(FeedbackError, match="rows are both judged and verified"):
        judge_report(passes, verified)
    with pytest.raises(FeedbackError, match="0 good and 0 bad"):
        judge_report(passes, np.full(2000, np.nan))
