"""The benchmark of alarms: what changes in its logs, and what its page says of them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"

pytestmark = pytest.mark.skipif(
    not (BENCHMARKS / "monitoring.py").exists(), reason="benchmarks are not in this distribution"
)


@pytest.fixture(scope="module")
def monitoring():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        import monitoring

        yield monitoring


@pytest.mark.parametrize("drop", [0.05, 0.10])
def test_a_drop_is_as_large_as_its_name_says(monitoring, drop):
    shift = monitoring._shift_for(drop)
    assert monitoring._mean_good(0.0) - monitoring._mean_good(shift) == pytest.approx(drop)


def test_only_what_is_named_changes(monitoring):
    X, y, groups, week = monitoring.make_log(monitoring.Cell(monitoring.WIDGET, 0))[1]
    rated = ~np.isnan(y)
    before, after = (rated[part].mean() for part in (week < 26, week >= 26))
    assert after / before == pytest.approx(0.5, abs=0.03)
    assert abs(X[week < 26].mean() - X[week >= 26].mean()) < 0.01
    assert np.bincount(groups).max() == 4


def rows(monitoring, look):
    return pd.DataFrame(
        [
            {"scenario": scenario, "seed": 0, "kind": kind, "series": series, "look": look}
            for scenario in (monitoring.NULL, monitoring.WIDGET)
            for kind in ("alarm", "fixed n")
            for series in monitoring.SERIES
        ]
    )


def test_the_page_can_say_met_and_missed(monitoring):
    quiet = monitoring.page(rows(monitoring, np.nan), "command")
    assert "have a false alarm: met." in quiet
    loud = monitoring.page(rows(monitoring, 30.0), "command")
    assert "have a false alarm: **missed**." in loud
    assert "100%, 4 weeks" in loud


def test_a_dashboard_looks_at_the_latest_week(monitoring):
    def week(value):
        return {"value": value, "low": value - 0.02, "high": value + 0.02}

    assert not monitoring._dashboard([week(0.5)] * 8)
    assert monitoring._dashboard([week(0.5), None, week(0.5), week(0.6)])
    assert not monitoring._dashboard([week(0.5)] * 8 + [None])
