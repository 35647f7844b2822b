import numpy as np
import pytest

from skcausalrm.exceptions import AssumptionWarning, FeedbackError, InvalidInputError
from skcausalrm.inspection import judge_report


def draw(seed, n=2000, m=100, sensitivity=0.9, specificity=0.75, base_rate=0.3):
    rng = np.random.default_rng(seed)
    good = rng.random(n) < base_rate
    passes = np.where(good, rng.random(n) < sensitivity, rng.random(n) > specificity)
    return good, passes.astype(float), np.where(np.arange(n) < m, good, np.nan)


def test_intervals_hold_the_truth_and_a_judge_narrows_them():
    reports = [judge_report(*draw(seed)[1:]) for seed in range(70)]
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


def test_rows_of_users_who_are_alike_widen_the_interval():
    """A user has good answers or not, whether or not they pass: 100 users of ten rows each."""
    covered, narrower = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        user = np.repeat(np.arange(100), 10)
        good = rng.random(1000) < rng.beta(0.3, 0.7, 100)[user]
        passes = np.where(good, rng.random(1000) < 0.9, rng.random(1000) < 0.25)
        verified = np.where(np.isin(user, rng.permutation(100)[:30]), good, np.nan)
        found = judge_report(passes, verified, users=user)
        covered.append(found.good_rate.low <= 0.3 <= found.good_rate.high)
        alone = judge_report(passes, verified).good_rate
        narrower.append((alone.high - alone.low) / (found.good_rate.high - found.good_rate.low))
        assert found.covariation > 1
    assert 0.8 <= np.mean(covered) <= 0.98
    assert np.mean(narrower) < 0.8


def test_so_many_clusters_say_that_all_are_alike():
    good, _, verified = draw(0, n=400, m=40)
    five = np.tile(good, 5), np.tile(verified, 5)
    once = judge_report(good.astype(float), verified)
    copies = judge_report(five[0].astype(float), five[1], groups=np.tile(np.arange(400), 5))
    for name in ("sensitivity", "good_rate"):
        assert getattr(copies, name)[:3] == pytest.approx(getattr(once, name)[:3], abs=0.01)


@pytest.mark.filterwarnings("error")
def test_chance_and_reversed_scores_are_called_so():
    good, passes, verified = draw(0)
    coin = (np.random.default_rng(4).random(2000) < 0.5).astype(float)
    for judge, code in ((coin, "judge-chance"), (1 - passes, "judge-reversed")):
        with pytest.raises(AssumptionWarning) as raised:
            judge_report(judge, verified)
        assert raised.value.code == code
    judge_report(good.astype(float), verified)


@pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.AssumptionWarning")
def test_good_rate_needs_no_judge_that_is_right():
    _, passes, verified = draw(0)
    one, reverse = judge_report(passes, verified), judge_report(1 - passes, verified)
    assert reverse.good_rate[:3] == pytest.approx(one.good_rate[:3])
    assert np.isnan(reverse.corrected_pass_rate.value)
    assert reverse.corrected_pass_rate[1:3] == (0, 1)
    everything = judge_report(np.ones(2000), verified)
    assert everything.good_rate.value == pytest.approx(everything.verified_rate.value)
    assert everything.good_rate.high - everything.good_rate.low > 0.1


def test_labels_where_none_fails_yet():
    """Of forty verified rows all pass, and a tenth of all rows fail."""
    rng = np.random.default_rng(0)
    passes = np.arange(2000) % 10 != 0
    verified = np.full(2000, np.nan)
    some = np.flatnonzero(passes)[:40]
    verified[some] = rng.random(40) < 0.5
    with pytest.warns(AssumptionWarning):
        report = judge_report(passes, verified)
    assert 100 < report.labels_needed(0.1) < 500
    for width in (0, -1, np.nan, np.inf):
        with pytest.raises(InvalidInputError, match="an interval's is a positive number"):
            report.labels_needed(width)


def test_bad_input():
    _, passes, verified = draw(0, m=8)
    with pytest.raises(FeedbackError, match="rows are both judged and verified"):
        judge_report(passes, verified)
    with pytest.raises(FeedbackError, match="0 good and 0 bad"):
        judge_report(passes, np.full(2000, np.nan))
    for threshold in (np.nan, 1.5, -0.1, "0.5"):
        with pytest.raises(InvalidInputError, match="the scores lie between 0 and 1"):
            judge_report(passes, draw(0)[2], threshold=threshold)
