"""The published comparison on a small grid: nothing leaks, and a goal can be missed."""

import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

ROOT = Path(__file__).resolve().parent.parent
BENCHMARKS = ROOT / "benchmarks"

pytestmark = [
    pytest.mark.skipif(
        not (BENCHMARKS / "published_comparison.py").exists(),
        reason="benchmarks are not in this distribution",
    ),
    pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.SkcausalrmWarning"),
]


@pytest.fixture(scope="module")
def published():
    pytest.importorskip("torch")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        import published_comparison

        yield published_comparison


@pytest.fixture(scope="module")
def small(published):
    return published.Settings(n_rows=1600, n_features=8, max_epochs=3, n_settings=2, n_verified=30)


def cell(published, method="Naive", seed=0):
    return published.data_module.Cell("like UltraFeedback", 0.5, 0.1, 0.2, 0.4, 0.2, seed, method)


def test_parts_of_a_log_share_no_prompt_and_the_grades_are_as_asked(published, small):
    data = published.draw(cell(published), small)
    parts = [set(data.groups[rows]) for rows in (data.train, data.validation, data.test)]
    assert not parts[0] & parts[1]
    assert not (parts[0] | parts[1]) & parts[2]
    assert sum(map(len, (data.train, data.validation, data.test))) == len(data.X)
    assert set(data.verified) <= set(data.validation)
    assert data.reward.mean() == pytest.approx(0.4, abs=0.01)
    grades = published.data_module.graded(np.arange(1000.0), 0.8)
    assert np.bincount(grades) / 1000 == pytest.approx([1 / 15, 1 / 15, 1 / 15, 0.4, 0.4], abs=0.01)


def test_all_methods_on_a_log_see_the_same_rows(published, small):
    one, other = (published.draw(cell(published, name), small) for name in ("Naive", "IPS"))
    np.testing.assert_array_equal(one.y, other.y)
    np.testing.assert_array_equal(one.verified, other.verified)
    assert not np.array_equal(one.y, published.draw(cell(published, seed=1), small).y)


@pytest.mark.parametrize("method", ["CausalRewardRegressor('auto')", "Naive", "Plain"])
def test_clean_labels_of_rows_that_are_not_verified_play_no_part(
    published, small, method, monkeypatch
):
    study = published.study_module
    true = study.draw

    def other_labels(*arguments):
        data = true(*arguments)
        hidden = np.ones(len(data.X), dtype=bool)
        hidden[data.verified] = hidden[data.test] = False
        data.reward = np.where(hidden, 1 - data.reward, data.reward)
        return data

    rows = study.run_cell(cell(published, method), small)
    assert rows["further"].tolist() == ["none", "verified"]
    assert np.isfinite(rows[["R2", "MAE", "Pearson", "AUROC"]]).all(axis=None)
    monkeypatch.setattr(study, "draw", other_labels)
    again = study.run_cell(cell(published, method), small)
    same = ["setting", "R2", "AUROC"]
    pd.testing.assert_frame_equal(rows[same], again[same])


def test_every_method_has_its_budget(published, small):
    for name in published.methods():
        found = published.methods_module.candidates(name, small, 0)
        assert 1 <= len(found) <= small.n_settings


@pytest.fixture
def own_method(tmp_path, monkeypatch):
    """The module that the guide's page shows, importable."""
    page = (ROOT / "docs" / "guide" / "baselines.md").read_text()
    snippet = page.partition("```python\n# mild_dislikes.py\n")[2].partition("```")[0]
    (tmp_path / "mild_dislikes.py").write_text(snippet)
    monkeypatch.syspath_prepend(tmp_path)
    assert "mild_dislikes:MildDislikes" in page
    yield "mild_dislikes:MildDislikes"
    sys.modules.pop("mild_dislikes", None)


def test_a_method_of_ones_own_is_tuned_and_scored_as_any_other(
    published, small, own_method, tmp_path
):
    found = published.methods_module.candidates(own_method, small, 7)
    assert [type(model).__name__ for model in found.values()] == ["MildDislikes"] * 2
    assert list(found) == list(published.methods_module.candidates("Naive", small, 7))
    assert {model.random_state for model in found.values()} == {7}
    cells = [cell(published, own_method), cell(published, "Plain")]
    run = partial(published.run_cell, settings=small)
    sources = {own_method: published.method_source(own_method)}
    rows = published.run_all(cells, run, small, sources, tmp_path / "work", 1)
    assert set(rows["method"]) == {own_method, "Plain"}
    assert np.isfinite(rows[["R2", "MAE", "Pearson", "AUROC"]]).all(axis=None)
    own = rows[rows["method"] == own_method]
    data, seed = published.draw(cells[0], small), cells[0].random_state
    model = published.methods_module.candidates(own_method, small, seed)[own["setting"].iloc[0]]
    model.fit(data.X[data.train], data.y[data.train], groups=data.groups[data.train])
    p = model.predict(data.X[data.test])
    assert own["AUROC"].iloc[0] == roc_auc_score(data.reward[data.test], p)
    assert own["recalibrated by"].iloc[1] in ("recalibration", "Platt")
    # an edited method is run again, the others are not
    files = set((tmp_path / "work").rglob("*.parquet"))
    sources[own_method].write_text(sources[own_method].read_text() + "\n# edited\n")
    published.run_all(cells, run, small, sources, tmp_path / "work", 1)
    added = set((tmp_path / "work").rglob("*.parquet")) - files
    assert [path.name for path in added] == [f"{cells[0].name}.parquet"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent_module:X", "No module named"),
        ("json:X", "no attribute"),
        ("json:JSONDecoder", "lacks fit"),
    ],
)
def test_a_method_that_cannot_be_run_is_refused(published, name, message):
    with pytest.raises(ValueError, match=message):
        published.method_source(name)


@pytest.mark.parametrize("sign", [1, -1])
def test_verified_rows_never_turn_a_ranking_round(published, sign):
    rng = np.random.default_rng(0)
    p = rng.uniform(0.2, 0.8, 200)
    verified = np.full(200, np.nan)
    verified[:50] = rng.random(50) < (p if sign == 1 else 1 - p)[:50] ** 2
    feedback = np.where(rng.random(200) < 0.5, (rng.random(200) < p).astype(float), np.nan)
    moved, how = published.methods_module.after_verified(
        p, verified, feedback, np.array([0.3, 0.7])
    )
    assert how in ("recalibration", "Platt")
    assert moved[1] >= moved[0]


def test_a_study_of_one_method_has_what_the_page_compares_it_with(published):
    """--only method=CVIB once ran its cells and then failed at the page."""
    names = published.methods()
    cells = published.grid(["like HelpSteer"], (0.5, 0.1), [(0.1, 0.2)], [0.4], [0.2], 2, names)
    kept = published.chosen_to_compare(cells, ["method=CVIB", "alpha=0.1"])
    assert {c.method for c in kept} == {"CVIB", *published.REFERENCES}
    assert {(c.alpha, c.seed) for c in kept} == {(0.1, 0), (0.1, 1)}
    assert len(kept) == 8
    with pytest.raises(ValueError, match="method=CVIP"):
        published.chosen_to_compare(cells, ["method=CVIP"])


def fake_rows(published, auto):
    """Scores of four methods on two alphas and three seeds: auto's are the given ones."""
    scores = {
        published.methods_module.ORACLE: 0.9,
        "CausalRewardRegressor('auto')": auto,
        "Naive": 0.6,
        "CausalRMDR": 0.65,
    }
    return pd.DataFrame(
        [
            {
                **dict(zip(published.data_module.Cell._fields, parts, strict=True)),
                "further": further,
                "rated": 100,
                "setting": "x",
                "settings": 1,
                "seconds": 1.0,
                "warnings": "",
                **dict.fromkeys(("AUROC", "R2", "Pearson"), value + 0.001 * seed),
                "MAE": 1 - value,
            }
            for alpha in (0.5, 0.1)
            for seed in range(3)
            for further in ("none", "verified")
            for method, value in scores.items()
            for parts in [("like UltraFeedback", alpha, 0.1, 0.2, 0.4, 0.2, seed, method)]
        ]
    )


@pytest.mark.parametrize(("auto", "met"), [(0.8, True), (0.62, False)])
def test_goals_can_be_missed_and_what_is_written_by_hand_stays(published, tmp_path, auto, met):
    rows = fake_rows(published, auto)
    timing = {"auto": 1.0, "CausalRMDR": 40.0 if met else 20.0}
    assert [goal[2] for goal in published.goals(rows, timing)] == [met] * 4
    published.write(rows, "about", timing, tmp_path)
    page = tmp_path / "published_comparison.md"
    text = page.read_text()
    assert ("**missed**" in text) is not met
    page.write_text(text.replace(published.HAND, f"{published.HAND}\n\nBecause.", 1))
    published.write(rows, "about", timing, tmp_path)
    assert page.read_text().count("Because.") == 1
    assert (tmp_path / "published_alpha.png").stat().st_size > 1000
    table = published.paired(rows, "none", "AUROC")
    assert table.loc["Naive", "wins"] == 2
    assert table.loc["CausalRMDR", "wins" if met else "losses"] == 2
