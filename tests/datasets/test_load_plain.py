import enum
import gzip
import json
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skcausalrm.datasets import load_feedback
from skcausalrm.exceptions import (
    AssumptionWarning,
    DataLossWarning,
    FeedbackError,
    FileFormatError,
    InvalidInputError,
    UnusedParameterError,
)

ROWS = [
    {"prompt": "2+2?", "completion": "4", "feedback": True, "timestamp": "2026-05-04T09:00:00Z"},
    {"prompt": "2+2?", "completion": "5", "feedback": False, "timestamp": "2026-05-05T09:00:00Z"},
    {"prompt": "3+3?", "completion": "6", "feedback": None, "timestamp": "2026-05-06T09:00:00Z"},
]
EXPECTED = [1.0, 0.0, np.nan]


def nan_equal(values, expected):
    return np.array_equal(np.asarray(values, dtype=float), expected, equal_nan=True)


def check(logs):
    assert list(logs.columns) == ["prompt", "completion", "feedback", "group", "timestamp"]
    assert logs["completion"].tolist() == ["4", "5", "6"]
    assert nan_equal(logs["feedback"], EXPECTED)
    assert logs["group"].tolist() == [0, 0, 1]
    assert logs["timestamp"][1] == pd.Timestamp("2026-05-05T09:00:00Z")
    assert logs.attrs["load_feedback"]["format"] == "plain"


@pytest.mark.parametrize(
    "suffix", ["jsonl", "jsonl.gz", "ndjson", "json", "json.gz", "csv", "parquet"]
)
def test_files(tmp_path, suffix):
    path = tmp_path / f"logs.{suffix}"
    text = "\n".join(map(json.dumps, ROWS)) if "l" in suffix[:5] or "nd" in suffix else ""
    if suffix in ("jsonl", "ndjson"):
        path.write_text(text + "\n")
    elif suffix == "jsonl.gz":
        path.write_bytes(gzip.compress(text.encode()))
    elif suffix == "json":
        path.write_text(json.dumps(ROWS))
    elif suffix == "json.gz":
        path.write_bytes(gzip.compress(json.dumps(ROWS).encode()))
    elif suffix == "csv":
        pd.DataFrame(ROWS).to_csv(path, index=False)
    else:
        pd.DataFrame(ROWS).to_parquet(path)
    check(load_feedback(path))
    check(load_feedback(str(path), format="plain"))


def test_memory_and_several_files(tmp_path):
    check(load_feedback(ROWS))
    frame = pd.DataFrame(ROWS, index=[7, 8, 9])
    copy = frame.copy()
    check(load_feedback(frame))
    pd.testing.assert_frame_equal(frame, copy)  # the caller's table is left alone
    for number, rows in enumerate((ROWS[:2], ROWS[2:])):
        (tmp_path / f"{number}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    check(load_feedback([tmp_path / "0.jsonl", tmp_path / "1.jsonl"]))


def test_hugging_face_datasets():
    datasets = pytest.importorskip("datasets")
    data = datasets.Dataset.from_list(ROWS)
    check(load_feedback(data))
    assert load_feedback([data, data]).attrs["load_feedback"]["n_duplicates"] == len(ROWS)
    with pytest.raises(FileFormatError, match=r"splits \['test', 'train'\]"):
        load_feedback(datasets.DatasetDict({"train": data, "test": data}))
    chats = datasets.Dataset.from_list(
        [
            {
                "prompt": [{"role": "user", "content": "Sky?"}],
                "completion": [{"role": "assistant", "content": "Blue."}],
                "label": label,
            }
            for label in (True, None)
        ]
    )
    logs = load_feedback(chats)
    assert logs["completion"].tolist() == ["Blue.", "Blue."]
    assert logs.attrs["load_feedback"]["format"] == "trl"


def test_trl_unpaired_preference():
    with pytest.warns(AssumptionWarning, match="All 2 rows are rated"):
        logs = load_feedback(
            [
                {"prompt": "The sky is", "completion": " blue.", "label": True},
                {"prompt": "The sky is", "completion": " green.", "label": False},
            ]
        )
    assert logs["completion"].tolist() == [" blue.", " green."]
    assert nan_equal(logs["feedback"], [1, 0])
    assert "label" not in logs.columns


def test_trl_conversations():
    system = {"role": "system", "content": "Be brief."}
    user = {"role": "user", "content": "What color is the sky?"}
    answer = [{"role": "assistant", "content": "Blue."}]
    logs = load_feedback(
        [
            {"prompt": [user], "completion": answer, "label": True},
            {"prompt": [system, user], "completion": answer, "label": None},
        ]
    )
    assert logs["prompt"].tolist() == [user["content"], [system, user]]
    assert logs["completion"].tolist() == ["Blue.", "Blue."]
    assert logs["group"].tolist() == [0, 0]


def test_chat_messages():
    chat = [
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "Bye"},
        {"role": "assistant", "content": "Ciao"},
    ]
    logs = load_feedback(
        [{"messages": chat[:2], "feedback": 1}, {"messages": json.dumps(chat), "feedback": None}]
    )
    assert logs["prompt"][0] == "Hi"
    assert logs["prompt"][1][1] == {"role": "assistant", "content": "Hello"}
    assert logs["completion"].tolist() == ["Hello", "Ciao"]
    assert logs["group"].tolist() == [0, 0]
    assert "messages" not in logs.columns
    rows = [{"messages": part, "feedback": None} for part in (chat, chat[:3], chat[:1])]
    with pytest.warns(DataLossWarning, match=r"1 with no answer \(row 2: "):
        logs = load_feedback(rows)
    assert logs["completion"].tolist() == ["Ciao", "Hello"]
    assert logs["next_message"].tolist() == [None, "Bye"]
    with pytest.raises(InvalidInputError, match=r"no answer in 1 of 3 rows \(first: row 2\)"):
        load_feedback(rows, on_error="raise")


def test_further_columns():
    logs = load_feedback(
        [
            {
                "prompt": "q",
                "completion": "a",
                "feedback": "",
                "verified": "1",
                "asked": "true",
                "judge_score": "0.25",
                "prompt_id": "p-1",
                "timestamp": 1_777_885_200_000,
                "team": "x",
            },
            {
                "prompt": "r",
                "completion": "b",
                "feedback": "-1",
                "verified": "",
                "asked": "",
                "judge_score": "",
                "prompt_id": "p-1",
                "timestamp": 1_777_885_300_000,
                "team": "y",
            },
        ]
    )
    assert nan_equal(logs["feedback"], [np.nan, 0])
    assert nan_equal(logs["verified"], [1, np.nan])
    assert logs["asked"].tolist() == [True, False]
    assert nan_equal(logs["judge_score"], [0.25, np.nan])
    assert logs["group"].tolist() == ["p-1", "p-1"]
    assert logs["timestamp"][0] == pd.Timestamp("2026-05-04T09:00:00Z")
    assert logs["team"].tolist() == ["x", "y"]


KNOWN = [
    (True, 1), (1, 1), (1.0, 1), ("true", 1), (" 1 ", 1), ("1.0", 1), (np.int64(1), 1),
    (False, 0), (0, 0), (0.0, 0), (-1, 0), (-1.0, 0), ("False", 0), ("0", 0), ("-1", 0),
    ("thumbs_up", 1), ("Yes", 1), ("👎", 0), ([1], 1),
    (None, np.nan), (np.nan, np.nan), ("", np.nan), ("null", np.nan), (pd.NA, np.nan),
]  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(KNOWN), min_size=1, max_size=30))
def test_every_known_label(pairs):
    values, expected = zip(*pairs, (None, np.nan), strict=True)
    rows = pd.DataFrame({"prompt": "q", "completion": "a"}, index=range(len(values)))
    rows["feedback"] = pd.Series(values, dtype=object)
    signed = any(str(value) in ("-1", "-1.0") for value in values)
    zero = [str(value).strip() in ("0", "0.0") for value in values]
    expected = [np.nan if signed and none else e for none, e in zip(zero, expected, strict=True)]
    assert nan_equal(load_feedback(rows)["feedback"], expected)


@pytest.mark.parametrize("bad", ["maybe", 2, 0.5, "3 stars", np.inf, {"a": 1}])
def test_unknown_label_is_named_and_counted(bad):
    rows = [{"prompt": "q", "completion": "a", "feedback": value} for value in (1, bad, bad, None)]
    with pytest.raises(FeedbackError, match=r"'feedback'.*first at row 1.* in 2 of 4 rows"):
        load_feedback(rows)


@pytest.mark.parametrize("key", [4, 4.0, "4", "4.0"])
@pytest.mark.parametrize("value", [4, 4.0, "4", "4.0", np.float32(4)])
def test_labels_match_numbers_however_they_are_written(key, value):
    rows = [{"prompt": "q", "completion": "a", "feedback": item} for item in (value, None)]
    assert nan_equal(load_feedback(rows, labels={key: 1})["feedback"], [1, np.nan])


@pytest.mark.parametrize("format", ["plain", "trl"])
def test_feedback_beside_label(format):
    def load(feedback, label):
        rows = pd.DataFrame({"prompt": "q", "completion": "a"}, index=range(2))
        rows["feedback"], rows["label"] = (pd.Series(v, dtype=object) for v in (feedback, label))
        logs = load_feedback(rows, format=format)
        assert "label" not in logs.columns
        return logs["feedback"]

    assert nan_equal(load([True, None], [1, ""]), [1, np.nan])
    assert nan_equal(load([None, None], [None, None]), [np.nan, np.nan])
    for name, columns in (("feedback", ([None, ""], [None, 0])), ("label", ([None, 0], ["", ""]))):
        with pytest.warns(DataLossWarning, match=f"'{name}' is empty"):
            assert nan_equal(load(*columns), [np.nan, 0])
    with pytest.raises(FileFormatError, match=r"disagree in 1 of 2 rows \(first at row 1\)"):
        load([True, None], [True, False])


def test_columns_of_one_name_are_refused(tmp_path):
    frame = pd.DataFrame([["q", "a", None, 1]])
    frame.columns = ["prompt", "completion", "feedback", "feedback"]
    frame.to_csv(tmp_path / "logs.csv", index=False)
    for source in (frame, tmp_path / "logs.csv"):
        with pytest.raises(FileFormatError, match="'feedback' more than once"):
            load_feedback(source)


def test_times_are_scaled_one_by_one():
    at = 1_777_885_200
    times = [at, at * 10**3, str(at * 10**6), at * 10**9, "2026-05-04T09:00:00Z", None]
    rows = [{"prompt": "q", "completion": "a", "feedback": None, "timestamp": t} for t in times]
    read = load_feedback(rows)["timestamp"]
    assert (read[:5] == pd.Timestamp("2026-05-04T09:00:00Z")).all()
    assert read.isna().tolist() == [False] * 5 + [True]


@pytest.mark.parametrize("good", [1_777_885_200, "2026-05-04"])
@pytest.mark.parametrize("bad", ["yesterday", np.inf, 1e300, [1]])
def test_bad_times_are_named(good, bad):
    rows = [
        {"prompt": "q", "completion": "a", "feedback": None, "timestamp": t} for t in (good, bad)
    ]
    with pytest.warns(DataLossWarning, match="1 times that cannot be read"):
        logs = load_feedback(rows)
    assert logs["timestamp"].isna().tolist() == [False, True]
    assert logs.attrs["load_feedback"]["n_unreadable_times"] == 1


def test_labels_names_other_spellings():
    rows = [
        {"prompt": "q", "completion": "a", "feedback": value} for value in ("Up", "down", "skip")
    ]
    logs = load_feedback(rows, labels={"up": 1, "down": 0, "skip": None})
    assert nan_equal(logs["feedback"], EXPECTED)
    with pytest.raises(FeedbackError, match="must be 1, 0 or None"):
        load_feedback(rows, labels={"up": 3})


@pytest.mark.parametrize(
    ("row", "error", "message"),
    [
        ({"prompt": "q", "x": "a"}, FileFormatError, r"\['prompt', 'x'\]"),
        ({"prompt": "q", "completion": "a"}, FileFormatError, "feedback"),
        (
            {"prompt": "q", "completion": "", "feedback": 1},
            InvalidInputError,
            "empty answer in 1 of 1 rows",
        ),
        ({"prompt": "q", "completion": None, "feedback": 1}, InvalidInputError, "no answer"),
        ({"prompt": "q", "completion": [], "feedback": 1}, InvalidInputError, "no answer"),
        ({"prompt": "q", "completion": 0.3, "feedback": 1}, InvalidInputError, "unreadable answer"),
        ({"prompt": None, "completion": "a", "feedback": 1}, InvalidInputError, "no prompt"),
        ({"prompt": "q", "completion": "a", "feedback": [1, 2]}, FeedbackError, "a label must"),
        (
            {"prompt": "q", "completion": "a", "feedback": 1, "judge_score": 3},
            FeedbackError,
            "'judge_score'",
        ),
    ],
)
def test_bad_rows(row, error, message):
    with pytest.raises(error, match=message):
        load_feedback([row], on_error="raise")


def test_plain_formats_refuse_scores():
    with pytest.raises(UnusedParameterError, match="scores was given"):
        load_feedback(ROWS, scores=[{"a": 1}])


def test_bad_sources(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.jsonl"):
        load_feedback(tmp_path / "nowhere.jsonl")
    (tmp_path / "logs.txt").write_text("x")
    with pytest.raises(FileFormatError, match=r"ends in '\.txt'"):
        load_feedback(tmp_path / "logs.txt")
    for name in ("bad.json", "bad.jsonl", "bad.parquet"):
        (tmp_path / name).write_text('{"prompt": ')
        with pytest.raises(FileFormatError, match="cannot be read"):
            load_feedback(tmp_path / name)
    (tmp_path / "list.json").write_text("[1, 2]")
    with pytest.raises(FileFormatError, match="list of JSON objects"):
        load_feedback(tmp_path / "list.json")
    (tmp_path / "mixed.jsonl").write_text('{"prompt": "a"}\n{"prompt": [1]}\n{oops\n')
    with pytest.raises(FileFormatError, match=r"line 3.*cannot be read"):
        load_feedback(tmp_path / "mixed.jsonl")
    with pytest.raises(FileFormatError, match="no rows"):
        load_feedback([])
    with pytest.raises(TypeError, match="int"):
        load_feedback(3)
    with pytest.raises(ValueError, match="format='x'"):
        load_feedback(ROWS, format="x")
    with pytest.raises(FileFormatError, match="label"):
        load_feedback(ROWS, format="trl")


def test_jsonl_keeps_texts_that_look_like_times_or_numbers(tmp_path):
    path = tmp_path / "logs.jsonl"
    rows = [
        {"prompt": "2026-05-04", "completion": "007", "feedback": None, "user": "0042"},
        {"prompt": "2026-05-05T10:00:00", "completion": "1e5", "feedback": True, "user": "1"},
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        logs = load_feedback(path)
    for name in ("prompt", "completion", "user"):
        assert logs[name].tolist() == [row[name] for row in rows]


def test_csv_keeps_texts_that_look_missing(tmp_path):
    path = tmp_path / "logs.csv"
    path.write_text("prompt,completion,feedback,comment\nq,NA,1,\nr,null,,None\n")
    logs = load_feedback(path)
    assert logs["completion"].tolist() == ["NA", "null"]
    assert nan_equal(logs["feedback"], [1, np.nan])
    assert logs["comment"].isna().tolist() == [True, False]


def test_jsonl_of_mixed_types(tmp_path):
    path = tmp_path / "logs.jsonl"
    rows = [{**ROWS[0], "feedback": "true"}, {**ROWS[1], "feedback": -1}, ROWS[2]]
    path.write_text("\n".join(map(json.dumps, rows)))
    check(load_feedback(path))


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_unpaired_surrogates_are_replaced_and_counted(tmp_path):
    rows = [
        {"prompt": "q\ud83d", "completion": "a", "feedback": True, "tags": ["x", {"y": "\udc00"}]},
        {"prompt": "q \U0001f600", "completion": "a", "feedback": None, "tags": []},
    ]
    for source in (rows, pd.DataFrame(rows, dtype=object), write_lines(tmp_path / "a.jsonl", rows)):
        with pytest.warns(DataLossWarning, match="2 fields of source hold half"):
            logs = load_feedback(source)
        assert logs["prompt"].tolist() == ["q\ufffd", "q \U0001f600"]
        assert logs["tags"].tolist() == [["x", {"y": "\ufffd"}], []]
        assert logs.attrs["load_feedback"]["n_repaired"] == 2


@pytest.mark.parametrize("suffix", ["json", "jsonl"])
def test_json_values_are_kept(tmp_path, suffix):
    rows = [
        {"prompt": "q", "completion": "a", "feedback": None, "group": 2**60 + i, "day": day, "n": n}
        for i, day, n in ((0, None, 1), (1, "2024-01-01", 2**64), (2, "2024-01-02", 0.1 + 0.2))
    ]
    rows.append({**rows[0], "group": None})
    path = tmp_path / f"logs.{suffix}"
    if suffix == "json":
        path.write_text(json.dumps(rows))
    else:
        write_lines(path, rows)
    logs = load_feedback(path)
    for name in ("group", "day", "n"):
        assert logs[name].tolist() == [row[name] for row in rows]


def test_csv_keeps_empty_prompts(tmp_path):
    path = tmp_path / "logs.csv"
    path.write_text("prompt,completion,feedback\n,a,1\nq,b,\n")
    assert load_feedback(path)["prompt"].tolist() == ["", "q"]


def test_zeros_next_to_dislikes_are_no_ratings_where_false_is_one():
    values = [False, 0, -1, True, 0.0, 1]
    rows = [{**ROWS[0], "feedback": value} for value in values]
    assert nan_equal(load_feedback(rows)["feedback"], [0, np.nan, 0, 1, np.nan, 1])


def test_a_page_among_records_is_read(tmp_path):
    page = {"data": ROWS[:2], "meta": {"total": 2}}
    assert len(load_feedback([page, ROWS[2]])) == 3
    with_data = [{**row, "data": [{"a": 1}]} for row in ROWS]
    assert len(load_feedback([*with_data, ROWS[0]])) == len(ROWS) + 1


CHAT = [
    {"role": "user", "content": "Hi } {"},
    {"role": "assistant", "content": "Yes?"},
    {"role": "user", "content": "2+2?"},
]
ANSWER = [{"role": "assistant", "content": "4"}]


@pytest.mark.parametrize(
    "encode",
    [
        lambda chat: repr(json.dumps(chat)),
        lambda chat: json.dumps(json.dumps(json.dumps(chat))),
        lambda chat: str(np.array(chat, dtype=object)),
        lambda chat: json.dumps(chat).encode(),
    ],
    ids=["printed", "thrice", "numpy", "bytes"],
)
def test_chats_in_cells(encode):
    rows = [{"prompt": encode(CHAT), "completion": encode(ANSWER), "feedback": 1}]
    logs = load_feedback(rows)
    assert logs.loc[0, "prompt"] == CHAT
    assert logs.loc[0, "completion"] == "4"


def test_an_answer_that_repeats_the_chat_before_it():
    rows = [{"prompt": CHAT, "completion": CHAT + ANSWER, "label": True}]
    assert load_feedback(rows)["completion"].tolist() == ["4"]


@pytest.mark.parametrize("text", ['["user", "hello"]', '[{"role": "user", "content": "q"}]'])
def test_answers_about_messages_stay_texts(text):
    rows = [{"prompt": "q", "completion": text, "feedback": 1}]
    assert load_feedback(rows)["completion"].tolist() == [text]
    rows = [*rows, {"prompt": "q", "completion": CHAT[:1], "feedback": 1}]
    assert "no answer" in load_feedback(rows).attrs["load_feedback"]["left_out"]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["31.1.2026 21:18", "01.02.2026"], ["2026-01-31 21:18", "2026-02-01"]),
        (["1/31/2026 9:18 PM", "2/1/2026"], ["2026-01-31 21:18", "2026-02-01"]),
        (["31/1/2026 9:18", "1/2/2026"], ["2026-01-31 09:18", "2026-02-01"]),
        (["1/2/2026", "3/4/2026"], [None, None]),  # nothing tells day from month
        ([46023.5, "46024"], ["2026-01-01 12:00", "2026-01-02"]),  # days since 1900
        (["20260101", {"$date": {"$numberLong": "1767312000000"}}], ["2026-01-01", "2026-01-02"]),
        (["now", " 2026-01-01 "], [None, "2026-01-01"]),
    ],
)
def test_times_of_spreadsheets_and_databases(texts, expected):
    logs = load_feedback([{**ROWS[0], "timestamp": text} for text in texts])
    assert (
        logs["timestamp"].tolist() == pd.to_datetime(expected, utc=True, format="ISO8601").tolist()
    )
    assert logs.attrs["load_feedback"]["n_unreadable_times"] == expected.count(None)


def test_tables_that_spreadsheets_write(tmp_path):
    path = tmp_path / "logs.csv"
    for encoding in ("utf-8", "utf-16"):
        path.write_text("sep=;\nprompt;completion;feedback\nq;a;WAHR\n", encoding=encoding)
        assert load_feedback(path)["feedback"].tolist() == [1]
    path.write_text("prompt,completion,feedback\nq,a, b,1\n")
    with pytest.raises(FileFormatError, match="more fields than its header"):
        load_feedback(path)


def test_files_of_another_encoding_or_depth_say_so(tmp_path):
    path = tmp_path / "logs.jsonl"
    path.write_text(json.dumps(ROWS[0]) + "\n", encoding="utf-16")
    with pytest.raises(FileFormatError, match="save it as UTF-8"):
        load_feedback(path)
    path = tmp_path / "logs.json"
    path.write_text("[" * 100_000)
    with pytest.raises(FileFormatError, match="cannot be read as json"):
        load_feedback(path)


def test_members_of_an_enumeration_are_labels():
    thumbs = enum.Enum("Thumbs", {"UP": "up", "DOWN": "down"})
    rows = [{**ROWS[0], "feedback": thumb} for thumb in thumbs]
    assert load_feedback(rows)["feedback"].tolist() == [1, 0]


def test_likes_next_to_dislikes():
    flags = [(1, 0), (0, 1), (0, 0)]
    rows = [
        {"prompt": "q", "completion": "a", "thumbs_up": up, "thumbs_down": down}
        for up, down in flags
    ]
    assert nan_equal(load_feedback(rows)["feedback"], [1, 0, np.nan])


def test_chats_next_to_their_answers():
    rows = [{"messages": CHAT, "response": "4", "rating": "up"}]
    assert load_feedback(rows)[["prompt", "completion"]].values.tolist() == [[CHAT, "4"]]
