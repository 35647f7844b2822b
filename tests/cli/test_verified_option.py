"""`--verified` and `--asked`: label files, columns, both; and a fit that uses them."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from skcausalrm.cli._logs import read_log
from skcausalrm.datasets import load_feedback
from skcausalrm.datasets._labels import answer_keys, append_label, draw_answers
from skcausalrm.exceptions import DataLossWarning, FeedbackError, FileFormatError

ROWS = [
    {"prompt": f"q{i}", "completion": "a", "feedback": [1, 0, None][i % 3], "checked": None}
    for i in range(6)
]


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def judge(path, log, verdicts):
    """Append verdicts on rows of a log."""
    keys = answer_keys(load_feedback(log))
    for row, verdict in verdicts.items():
        append_label(path, keys[row], verdict)
    return str(path)


def test_several_label_files_and_a_column_are_put_together(tmp_path):
    log = write(tmp_path / "log.jsonl", [{**ROWS[0], "checked": 0}, *ROWS[1:]])
    ann = judge(tmp_path / "ann.jsonl", log, {1: 1, 2: 0})
    bob = judge(tmp_path / "bob.jsonl", log, {2: 0, 5: 1})
    assert "verified" not in read_log([log]).columns
    found = read_log([log], verified=[ann, "checked", bob])
    np.testing.assert_array_equal(found.columns["verified"], [0, 1, 0, np.nan, np.nan, 1])
    assert found.counts()["verified"] == 4
    np.testing.assert_array_equal(
        read_log([log], verified=["checked"]).columns["verified"], [0] + [np.nan] * 5
    )


def test_sources_that_disagree_are_counted(tmp_path):
    log = write(tmp_path / "log.jsonl", [{**ROWS[0], "verified": 0}, *ROWS[1:]])
    ann = judge(tmp_path / "ann.jsonl", log, {0: 1, 2: 0})
    bob = judge(tmp_path / "bob.jsonl", log, {2: 1})
    with pytest.raises(FeedbackError, match="disagree in 1 of 6 rows"):
        read_log([log], verified=[ann])
    with pytest.raises(FeedbackError, match="disagree in 2 of 6 rows"):
        read_log([log], verified=[bob, ann])


def test_labels_that_are_of_other_logs_are_an_error_and_some_a_warning(run, tmp_path):
    log = write(tmp_path / "log.jsonl", ROWS)
    labels = judge(tmp_path / "labels.jsonl", log, {0: 1, 1: 0})
    later = write(tmp_path / "later.jsonl", ROWS[1:])
    with pytest.warns(DataLossWarning, match="1 of 2"):
        assert read_log([later], verified=[labels]).counts()["verified"] == 1
    other = write(tmp_path / "other.jsonl", ROWS[2:])
    result = run("fit", other, "--out", tmp_path / "model", "--verified", labels)
    assert result.exit_code == 2
    assert "None of the 2 answers judged in" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--verified", "{folder}/none.jsonl"], "There is no label file"),
        (["--verified", "{folder}/log.jsonl"], "no key and verified"),
        (["--verified", "nowhere"], "'nowhere'"),
        (["--verified", "checked", "--verified", "completion"], "can name one"),
        (["--asked", "nowhere"], "'nowhere'"),
    ],
)
def test_bad_sources_are_one_sentence(run, tmp_path, arguments, sentence):
    log = write(tmp_path / "log.jsonl", ROWS)
    arguments = [part.format(folder=tmp_path) for part in arguments]
    result = run("fit", log, "--out", tmp_path / "model", *arguments)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith("error: ")
    assert sentence in result.stderr.splitlines()[-1]


def test_a_column_by_which_users_were_asked(tmp_path):
    log = write(tmp_path / "log.jsonl", [{**row, "drawn": i < 2} for i, row in enumerate(ROWS)])
    assert read_log([log], asked_name="drawn").columns["asked"].tolist() == [True] * 2 + [False] * 4
    with pytest.raises(FileFormatError):
        read_log([log], asked_name="nowhere")


@pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.SkcausalrmWarning")
def test_fit_uses_a_label_file_as_it_would_the_column(workspace, run, tmp_path):
    from skcausalrm.export import load_model_directory

    log = pd.read_json(workspace.train, lines=True)
    truth = log.pop("verified")
    log.to_json(tmp_path / "log.jsonl", orient="records", lines=True, date_format="iso")
    frame = load_feedback(tmp_path / "log.jsonl")
    first_of_text = frame.groupby(answer_keys(frame)).cumcount() == 0
    labels = judge(
        tmp_path / "labels.jsonl",
        tmp_path / "log.jsonl",
        truth[truth.notna() & first_of_text].to_dict(),
    )
    log["checked"] = truth.where(first_of_text)
    log.to_json(tmp_path / "log.jsonl", orient="records", lines=True, date_format="iso")
    reports = []
    for source in (labels, "checked"):
        result = run(
            "fit", tmp_path / "log.jsonl", "--out", tmp_path / "m", "--cache-dir", workspace.cache,
            "--method", "snips", "--verified", source, "--overwrite", "--json",
        )  # fmt: skip
        assert result.exit_code == 0, result.stderr
        head = load_model_directory(tmp_path / "m").scorer
        X = np.eye(4, head.n_features_in_, dtype="float32")
        reports.append((json.loads(result.stdout), head.predict(X)))
    np.testing.assert_array_equal(reports[0][1], reports[1][1])
    by_column = reports[1][0]["import"]["columns"]
    assert by_column.pop("verified") == "checked"  # the label file names no column
    assert reports[0][0] == reports[1][0]
    assert reports[0][0]["verified"] == (truth.notna() & first_of_text).sum() > 20


def test_answers_that_another_person_judged_are_not_drawn(tmp_path):
    log = write(tmp_path / "log.jsonl", ROWS)
    ann = judge(tmp_path / "ann.jsonl", log, {1: 1, 2: 0})
    frame = read_log([log], verified=[ann]).frame
    assert sorted(draw_answers(frame)) == [0, 3, 4, 5]
