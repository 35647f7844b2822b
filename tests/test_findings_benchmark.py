"""The benchmark of findings: every code has a log that deserves it, and its page can say missed."""

from pathlib import Path

import pandas as pd
import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"

pytestmark = pytest.mark.skipif(
    not (BENCHMARKS / "findings.py").exists(), reason="benchmarks are not in this distribution"
)


@pytest.fixture(scope="module")
def findings():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        import findings

        yield findings


def test_every_code_has_a_log_that_deserves_it(findings):
    assert list(findings.SPOILED) == list(findings.CATALOGUE)
    case = findings.dominated(0)
    counts = pd.Series(case.columns["users"][case.y == case.y]).value_counts()
    assert counts.index[0] == -1
    assert counts.iloc[0] > 0.2 * counts.sum()


def test_the_page_counts_power_and_false_alarms(findings):
    kinds = [*findings.CLEAN, "CRM009"]
    rows = pd.DataFrame(
        [(kind, seed, "CRM009", "found" if kind == "CRM009" else "clear") for kind in kinds
         for seed in range(20)],
        columns=["kind", "seed", "code", "status"],
    )  # fmt: skip
    page = findings.page(rows, "command")
    assert "| 20 of 20 | 0 of 20 | 0 of 20 |" in page
    assert "0 of 40 clean logs raise any" in page
    assert ": met (at most 0 of 20)" in page
    rows.loc[rows["kind"].eq(findings.CLEAN[0]) & rows["seed"].lt(2), "status"] = "found"
    assert "**missed** (at most 2 of 20)" in findings.page(rows, "command")
