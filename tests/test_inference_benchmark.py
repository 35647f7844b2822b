"""The benchmark of intervals: every kind is measured, and its page can say missed."""

from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"

pytestmark = pytest.mark.skipif(
    not (BENCHMARKS / "inference.py").exists(), reason="benchmarks are not in this distribution"
)


@pytest.fixture(scope="module")
def inference():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        import inference

        patch.setattr(inference, "N", 1200)
        patch.setattr(inference, "N_FEATURES", 8)
        yield inference


@pytest.fixture(scope="module")
def rows(inference):
    return inference.run_cell(inference.LogCell(inference.BROKEN, 0.5, 0))


def test_systems_differ_and_half_of_them_are_rated_by_another_rule(inference):
    log = inference.make_log(inference.LogCell(inference.BROKEN, 0.5, 0))
    good = [log.reward[log.system == k].mean() for k in range(4)]
    assert good == sorted(good)
    assert good[3] - good[0] > 0.2
    assert np.count_nonzero(~np.isnan(log.verified)) == 50
    rated = ~np.isnan(log.y)
    assert 0.15 < rated.mean() < 0.25
    odd, liked = log.system % 2 == 1, log.reward == 1
    assert rated[~odd & liked].mean() > 2 * rated[~odd & ~liked].mean()
    assert rated[odd & ~liked].mean() > 2 * rated[odd & liked].mean()


def test_every_kind_has_means_and_differences(rows, inference):
    assert set(rows.groupby(["kind", "of"]).size()) == {4, 6}
    found = inference.prepare(rows)
    assert (found["width"] > 0).all()
    assert (found["low"] <= found["estimate"]).all()
    widths = found[found["of"] == "mean"].groupby("kind")["width"].mean()
    assert widths[inference.WITH_JUDGE] < widths[inference.DISTRUSTING] < widths["verified alone"]


def test_the_page_says_what_is_met_and_what_missed(rows, inference):
    right = rows.assign(selection="x")
    far = right.assign(low=2.0, high=3.0)
    page = inference.page(inference.pd.concat([far, rows]), "command")
    assert page.count("**missed**") == 8
    assert "Where users rate each system by another rule" in page
    sure = inference.page(right.assign(low=-2.0, high=2.0), "command")
    assert sure.count("met (wider than need be)") == 8
