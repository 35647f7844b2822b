"""The recovery benchmark on a small grid: it runs, goes on where it stopped, and can say missed."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"

pytestmark = pytest.mark.skipif(
    not (BENCHMARKS / "recovery.py").exists(), reason="benchmarks are not in this distribution"
)


@pytest.fixture(scope="module")
def recovery():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        import recovery

        yield recovery


@pytest.fixture(scope="module")
def small(recovery):
    settings = recovery.Settings(n_train=1500, n_new=800, verified=(30, 50), asked=(300,))
    cells = [
        recovery.Cell(selection, 0.5, "medium", 0.1, 0.2, 8, 0) for selection in ("x", "reward .5")
    ]
    return cells, settings


@pytest.fixture(scope="module")
def rows(recovery, small, tmp_path_factory):
    cells, settings = small
    return recovery.run(cells, settings, tmp_path_factory.mktemp("work"), jobs=1)


def test_the_grid_is_the_one_that_was_planned(recovery):
    cells = recovery.full_grid(seeds=3)
    assert len(cells) == 7 * (5 + 2 * 2 + 4) * 3 + 7
    assert len({cell.name for cell in cells}) == len({cell.random_state for cell in cells}) == 280


def test_every_method_is_scored_on_every_data_set(rows, small):
    cells, _ = small
    times = rows.groupby(["method", "further"]).size()
    assert (times == len(cells)).all()
    assert len(rows) == len(cells) * (4 * 3 + 4 + 2 * 2 + 4)
    assert np.isfinite(rows[["R2", "AUROC", "level", "slope"]]).all(axis=None)
    best = rows[rows["method"] == "oracle"]
    assert (best["AUROC"] > 0.75).all()
    assert (best["level"].abs() < 0.05).all()
    assert (rows["R2 recalibrated"] > rows["R2"] - 1e-3).all()


def test_a_run_goes_on_where_it_stopped(recovery, small, tmp_path, monkeypatch):
    cells, settings = small
    ran = []

    def fake(cell, settings):
        ran.append(cell)
        if len(ran) == 2:
            raise KeyboardInterrupt
        return pd.DataFrame({"cell": [cell.name]})

    monkeypatch.setattr(recovery, "run_cell", fake)
    with pytest.raises(KeyboardInterrupt):
        recovery.run(cells, settings, tmp_path, jobs=1)
    table = recovery.run(cells, settings, tmp_path, jobs=1)
    assert ran == [cells[0], cells[1], cells[1]]
    assert table["cell"].tolist() == [cell.name for cell in cells]
    recovery.run(cells[:1], settings._replace(n_new=700), tmp_path, jobs=1)
    assert len(ran) == 4  # other settings, other results


def test_samples_are_nested_and_volunteers_alone_are_in_the_log(recovery, small):
    from _recovery.cells import draw, verified_column

    cells, settings = small
    data = draw(cells[1], settings)
    few, many = verified_column(data, 30), verified_column(data, 50)
    judged = ~np.isnan(few)
    assert judged.sum() == 30
    np.testing.assert_array_equal(few[judged], many[judged])
    np.testing.assert_array_equal(few[judged], data.reward[judged])
    rated = ~np.isnan(data.y)
    assert len(data.matched) == rated.sum() == pytest.approx(0.2 * settings.n_train, rel=0.2)
    np.testing.assert_array_equal(data.y[rated], data.answers[rated])


def test_shared_stages_give_the_predictions_of_whole_fits(recovery, small):
    cells, settings = small
    assert recovery.check_shortcut(cells[1], settings) < 1e-6


@pytest.mark.parametrize("sign", [1, -1])
def test_platt_scaling_never_turns_a_ranking_round(recovery, sign):
    from _recovery.cells import platt

    rng = np.random.default_rng(0)
    held_out = rng.uniform(0.1, 0.9, 400)
    reward = (rng.random(400) < (held_out if sign == 1 else 1 - held_out)).astype(float)
    p = platt(held_out, reward, np.array([0.2, 0.8]))
    assert p[1] > p[0] if sign == 1 else p[1] == p[0] == pytest.approx(reward.mean(), abs=0.01)


def test_the_page_says_what_is_missed_and_keeps_what_is_written_by_hand(recovery, rows, tmp_path):
    from _recovery.goals import goals
    from _recovery.rows import prepare

    recovery.write(rows, "About.", tmp_path)
    page = tmp_path / "recovery.md"
    page.write_text(page.read_text() + "\nIt was the weather.\n")
    table = pd.read_parquet(tmp_path / "recovery.parquet")
    recovery.write(table, table.attrs["about"], tmp_path)
    text = page.read_text()
    assert text.endswith("It was the weather.\n")
    assert text.count("What went wrong") == 1
    assert "About." in text
    assert "nan" not in text

    worse = rows.copy()
    worse.loc[worse["method"] == "selection", ["R2", "AUROC"]] -= 0.2
    missed = [goal for goal in goals(prepare(worse)) if not goal.met]
    assert {"R2", "AUROC"} <= {word for goal in missed for word in goal.text.split()}
    better = rows.copy()
    better.loc[better["method"] == "selection", ["R2", "AUROC"]] += 0.2
    text = [goal.text for goal in goals(prepare(better)) if not goal.met]
    assert not any("R2" in goal or "AUROC" in goal for goal in text)


def test_filters_are_checked(recovery, small):
    cells, _ = small
    assert recovery.chosen(cells, ["selection=x,both", "seed=0"]) == cells[:1]
    with pytest.raises(ValueError, match="not 'slection'"):
        recovery.chosen(cells, ["slection=x"])
    with pytest.raises(ValueError, match="No cell"):
        recovery.chosen(cells, ["seed=9"])
