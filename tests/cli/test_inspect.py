"""`inspect` prints what would be loaded, and the options say how."""

import json
import sys

import pandas as pd
import pytest

from skcausalrm.cli._judges import compare_judges, print_judges
from skcausalrm.cli._sources import Sources
from skcausalrm.exceptions import AssumptionWarning

ROWS = [
    {
        "question": "2+2?",
        "answer": "4",
        "thumbs": "up",
        "user_id": "u1",
        "created_at": "2026-01-02",
    },
    {"question": "2+3?", "answer": "6", "thumbs": "down", "user_id": "u2", "created_at": "bad"},
    {"question": "3+3?", "answer": "", "thumbs": None, "user_id": "u1", "created_at": "2026-01-05"},
    {"question": "\x1b[2J?", "answer": "7", "thumbs": None, "user_id": "u1", "nps_score": 9},
]


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def test_counts_columns_and_examples(run, log):
    result = run("inspect", log)
    assert result.exit_code == 0, result.stderr
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    for line in (
        "rows 3",
        "rated 2 (66.7%)",
        "users 2",
        "period 2026-01-02 to 2026-01-02",
        "prompt is read from question",
        "feedback is read from thumbs",
        "kept, but not read nps_score",
        "unreadable times 1",
        "left out: empty answer 1 (row 2)",
    ):
        assert line in lines
    assert lines[-3:] == ["not rated", r"prompt \x1b[2J?", "answer 7"]
    assert "\x1b" not in result.stdout
    assert "nps_score" in result.stderr
    assert "1 with empty answer (row 2: " in result.stderr


def test_json(run, log):
    result = run("inspect", log, "--json", "--examples", "1")
    facts = json.loads(result.stdout)
    assert (facts["rows"], facts["rated"], facts["users"]) == (3, 2, 2)
    assert facts["import"]["left_out"] == {"empty answer": {"count": 1, "ids": ["row 2"]}}
    assert facts["import"]["columns"]["user"] == "user_id"
    assert facts["examples"] == [{"feedback": 1.0, "prompt": "2+2?", "completion": "4"}]
    assert len(facts["warnings"]) == 2


def test_no_text_is_encoded(log):
    code = (
        f"from skcausalrm.cli import app; app(['inspect', {str(log)!r}], standalone_mode=False);"
        "import sys; sys.exit('torch' in sys.modules)"
    )
    import subprocess

    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_options_say_what_python_can(run, tmp_path):
    rows = [
        {"q": {"text": "2+2?"}, "a": {"parts": ["4", "!"]}, "stars": "5 stars"},
        {"q": {"text": "2+3?"}, "a": {"parts": ["6", "!"]}, "stars": "1 star"},
        {"q": {"text": "2+4?"}, "a": {"parts": ["7", "!"]}, "stars": "skip"},
    ]
    path = tmp_path / "log.parquet"
    pd.DataFrame(rows).to_parquet(path)
    result = run(
        "inspect", path, "--json", "--prompt-column", "q", "--completion-column", "a",
        "--prompt-key", "text", "--completion-key", "parts.0", "--feedback-name", "stars",
        "--labels", "5 stars=1", "--labels", "1 star=0", "--labels", "skip=none",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert [tuple(row.values()) for row in json.loads(result.stdout)["examples"]] == [
        (1.0, "2+2?", "4"),
        (0.0, "2+3?", "6"),
        (None, "2+4?", "7"),
    ]
    result = run("inspect", path, "--labels", "5 stars")
    assert result.exit_code == 2
    assert "must be a spelling and its meaning" in result.stderr


def test_strict(run, log):
    result = run("inspect", log, "--strict")
    assert result.exit_code == 2
    assert "empty answer in 1 of 4 rows (first: row 2)" in result.stderr


def test_judges_are_compared_with_verified_rows(run, tmp_path):
    path = tmp_path / "judged.jsonl"
    rows = [
        {
            "prompt": f"{i}?",
            "completion": str(i),
            "feedback": None if i % 2 else int(i % 3 > 0),
            "judge_score": 0.2 + 0.6 * (i % 3 > 0) - 0.1 * (i % 7 == 0),
            "verified": int(i % 3 > 0) if i < 60 else None,
        }
        for i in range(300)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = run("inspect", path, "--json")
    judges = json.loads(result.stdout)["judges"]
    assert (judges["thumbs"]["judged"], judges["thumbs"]["verified"]) == (150, 30)
    assert judges["thumbs"]["kappa"] == judges["judge_score"]["kappa"] == 1
    value, low, high = judges["judge_score"]["good_rate"]
    assert value == pytest.approx(2 / 3, abs=0.01)
    assert low < value < high
    lines = [" ".join(line.split()) for line in run("inspect", path).stdout.splitlines()]
    assert "thumbs judge_score" in lines
    assert "rows with a score 150 300" in lines
    assert "of them verified 30 60" in lines

    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows[:3], *rows[60:]]))
    printed = run("inspect", path).stdout
    assert "thumbs against verified rows: 1 good and 1 bad rows are both judged" in printed


def test_a_judge_that_runs_the_wrong_way(run, tmp_path):
    path = tmp_path / "judged.jsonl"
    rows = [
        {
            "prompt": f"{i}?",
            "completion": "a",
            "feedback": 1 if i < 3 else None,
            "judge_score": i % 2,
            "verified": (i + 1) % 2,
        }
        for i in range(40)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = run("inspect", path, "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert found["judges"]["judge_score"]["corrected_pass_rate"] == [None, 0, 1]
    assert any("turn the scores round" in text for text in found["warnings"])


def test_figures_with_labels_of_a_top_up_are_said_to_be_of_them_alone(capsys):
    rows = range(40)
    frame = pd.DataFrame(
        {"feedback": [k % 2 for k in rows], "verified": [float(k % 4 > 1) for k in rows]}
    )
    with pytest.warns(AssumptionWarning, match="chance"):
        print_judges(compare_judges(frame, Sources()))
    assert "top-up" not in capsys.readouterr().out
    topped_up = frame.assign(verified_propensity=[1.0, 0.5] * 20)
    with pytest.warns(AssumptionWarning, match="chance"):
        found = compare_judges(topped_up, Sources())
    assert found["thumbs"]["drawn_alike"] is False
    print_judges(found)
    assert "are of a top-up" in capsys.readouterr().out
