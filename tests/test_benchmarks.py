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


@pytest.fixture(scope="module")
def others(recovery, small, tmp_path_factory):
    """Rows of three other logs, made small."""
    from _recovery.other_logs import LOGS

    _, settings = small
    arms = {
        "225 ratings": ("none", "50 verified"),
        "greeting": ("none",),
        "lenient heavy raters": ("none", "users"),
    }
    cells = [recovery.OtherCell(log, "x", 0.5, 0) for log in arms]
    with pytest.MonkeyPatch.context() as patch:
        for log, few in arms.items():
            patch.setitem(LOGS, log, LOGS[log]._replace(n_train=1500, arms=few))
        return recovery.run_others(cells, settings, tmp_path_factory.mktemp("work"), jobs=1)


def test_the_grid_of_other_logs_has_a_name_for_each(recovery):
    cells = recovery.other_grid(seeds=2)
    assert len({cell.name for cell in cells}) == len(cells) == 7 * (2 * 5 + 7 * 3) * 2
    assert all(cell.seed == 0 for cell in cells[: len(cells) // 2])
    logs = {(cell.usual, cell.log) for cell in cells}
    assert len(logs) == len(cells)


@pytest.mark.parametrize(("repeated", "share"), [("greeting", 0.1), ("stock", 0.11)])
def test_answers_repeat_and_each_time_with_a_preference_of_its_own(
    recovery, small, repeated, share
):
    from _recovery.other_logs import draw_repeated

    cells, settings = small
    data = draw_repeated(cells[1], settings._replace(n_new=4500), repeated)
    _, code, times = np.unique(data.X_new, axis=0, return_inverse=True, return_counts=True)
    assert times.max() / len(data.X_new) == pytest.approx(share, rel=0.25)
    same = code.ravel() == times.argmax()
    assert 0.02 < data.reward_new[same].mean() < 0.98
    assert 0.4 < data.reward_new.mean() < 0.6
    assert (np.bincount(data.groups) == 10).all()
    rated = ~np.isnan(data.y)
    assert data.reward[rated].mean() > data.reward.mean() + 0.05


def test_other_logs_run_and_are_judged(others):
    from _recovery.other_page import other_goals, prepare_other

    arms = others[others["method"] == "selection"].groupby("log", sort=False)["further"].agg(list)
    assert arms["225 ratings"] == ["none", "50 verified"]
    assert arms["lenient heavy raters"] == ["none", "users"]
    assert (others.groupby("log")["method"].nunique() == 4).all()
    assert others.loc[others["log"] == "225 ratings", "rated"].unique() == pytest.approx(75, abs=25)
    assert np.isfinite(others[["R2", "AUROC", "level", "slope"]]).all(axis=None)

    def missed(arm, better, level, warned):
        """Return the goals missed if an arm is better than it is, off by so much, and warns."""
        rows = others.assign(level=0.0)
        own = (rows["method"] == "selection") & (rows["further"] == arm)
        rows.loc[own, ["R2", "AUROC"]] += better
        rows.loc[own, "level"], rows.loc[own, "warned"] = level, warned
        found = list(other_goals(prepare_other(rows)))
        assert len(found) >= 8
        return " ".join(goal.text for goal in found if not goal.met)

    good = missed("none", 0.3, 0.2, True)
    assert "AUROC" not in good
    assert "naive" not in good
    assert "under that of thumbs alone" in good
    bad = missed("none", -0.5, 0.2, False)
    assert "AUROC at least that of LogisticRegression" in bad
    assert "below naive" in bad
    bad = missed("users", 0.3, 0.2, False)
    assert "under that of thumbs alone" not in bad
    assert "the warning is up" in bad
    assert "where the warning is quiet" in bad


def test_the_page_holds_both_grids(recovery, rows, others, tmp_path, monkeypatch):
    for figure in ("draw_regimes", "draw_base_rates"):
        monkeypatch.setattr(f"_recovery.page.{figure}", lambda rows, path: None)
    recovery.write(others, "Of others.", tmp_path, recovery.OTHER)
    alone = (tmp_path / "recovery.md").read_text()
    assert alone.startswith("## Other logs")
    recovery.write(rows, "Of the grid.", tmp_path)
    text = (tmp_path / "recovery.md").read_text()
    assert text.index("Of the grid.") < text.index("Of others.") < text.index("What went wrong")
    assert "nan" not in text
    recovery.redraw(tmp_path)
    assert (tmp_path / "recovery.md").read_text() == text


def test_filters_are_checked(recovery, small):
    cells, _ = small
    assert recovery.chosen(cells, ["selection=x,both", "seed=0"]) == cells[:1]
    with pytest.raises(ValueError, match="not 'slection'"):
        recovery.chosen(cells, ["slection=x"])
    with pytest.raises(ValueError, match="No cell"):
        recovery.chosen(cells, ["seed=9"])


def test_standard_errors_are_judged_by_the_truths_they_hold(recovery):
    import standard_errors

    one = pd.DataFrame(
        {"score": [0.3, 0.3], "truth": [0.2, 0.2], "std": [0.06, 0.04], "low": [0.1, 0.25],
         "high": [0.4, 0.5], "selection": "x", "base_rate": 0.3, "seed": 0}
    )  # fmt: skip
    found = standard_errors.prepare(one)
    assert found["covered"].tolist() == found["held"].tolist() == [True, False]
    kinds = [*standard_errors.COVERED, standard_errors.ONE]
    rows = pd.concat(
        one.iloc[[int(kind == kinds[0])]].assign(kind=kind, metric=metric)
        for kind in kinds
        for metric in standard_errors.SCORES
    )
    text = standard_errors.page(rows, "command")
    assert text.count("| 0% | **missed** |") == text.count("| 100% | met |") == 4
