"""Rows of a file through the command line's reader and writer."""

import json

import pandas as pd
import pytest

from skcausalrm.cli._rows import format_rows, read_rows
from skcausalrm.exceptions import DataLossWarning

ROWS = [
    {"prompt": "q", "completion": "a", "id": 2**60 + 1, "day": None, "x": 0.1 + 0.2, "more": {}},
    {"prompt": "q", "completion": "é", "id": None, "day": "2024-01-01", "x": 1e-20, "more": {}},
]


@pytest.mark.parametrize("nested", [True, False])
def test_json_lines_come_back_as_they_were(tmp_path, nested):
    rows = [row if nested else {**row, "more": None} for row in ROWS]
    source = tmp_path / "in.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    written = format_rows(read_rows(source)[0], ".jsonl").decode()
    assert [json.loads(line) for line in written.splitlines()] == rows
    assert "é" in written


def test_parquet_becomes_json_lines(tmp_path):
    frame = pd.DataFrame({"prompt": ["q"], "completion": ["a"], "n": [None], "tags": [["x", "y"]]})
    frame["at"] = pd.Timestamp("2026-05-04T09:00:00Z")
    frame.to_parquet(tmp_path / "in.parquet")
    assert json.loads(format_rows(read_rows(tmp_path / "in.parquet")[0], ".jsonl")) == {
        "prompt": "q",
        "completion": "a",
        "n": None,
        "tags": ["x", "y"],
        "at": "2026-05-04T09:00:00+00:00",
    }


def test_half_characters_are_mended_and_counted(tmp_path):
    source = tmp_path / "in.jsonl"
    source.write_text(json.dumps({**ROWS[0], "prompt": "q\ud83d"}))
    with pytest.warns(DataLossWarning, match="1 fields of ROWS"):
        rows, text = read_rows(source)
    assert json.loads(format_rows(rows, ".jsonl")) == {**ROWS[0], "prompt": "q\ufffd"}
    assert text["prompt"].tolist() == ["q\ufffd"]
