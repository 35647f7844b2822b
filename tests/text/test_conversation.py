from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skcausalrm.exceptions import DataLossWarning, InvalidInputError
from skcausalrm.text._conversation import as_conversations

PAIRS = [("What is 2 + 2?", "4"), ("Name a fruit.", "Pear"), ("", "Nothing was asked")]
CHATS = [[{"role": "user", "content": p}, {"role": "assistant", "content": c}] for p, c in PAIRS]
TEXTS = ["What is 2 + 2?\n\n4", "Name a fruit.\n\nPear", "Nothing was asked"]


def frame(**extra):
    prompts, completions = zip(*PAIRS, strict=True)
    return pd.DataFrame({"prompt": prompts, "completion": completions, **extra})


@pytest.mark.parametrize(
    "rows",
    [
        PAIRS,
        [list(pair) for pair in PAIRS],
        np.array(PAIRS, dtype=object),
        np.array(PAIRS),
        frame(),
        frame().astype(object),
        frame(feedback=[1.0, np.nan, 0.0], user=["u", None, "v"]),
        frame().set_index(np.array([7, 3, 5])),
        CHATS,
        tuple(CHATS),
        pd.DataFrame({"messages": CHATS, "verified": [np.nan] * 3}),
        pd.Series(CHATS),
        [([chat[0]], chat[1:]) for chat in CHATS],
        [(prompt, [{"role": "assistant", "content": c}]) for prompt, c in PAIRS],
    ],
    ids=lambda rows: type(rows).__name__,
)
def test_all_kinds_of_rows_mean_the_same(rows):
    conversations = as_conversations(rows)
    assert len(conversations) == 3
    assert conversations.texts() == TEXTS
    assert conversations.messages() == CHATS


def test_indexing_as_scikit_learn_does_it():
    from sklearn.utils import _safe_indexing

    for rows in (PAIRS, CHATS, frame(), np.array(PAIRS, dtype=object)):
        subset = as_conversations(_safe_indexing(rows, np.array([2, 0])))
        assert subset.texts() == [TEXTS[2], TEXTS[0]]


def test_parquet_messages_come_back_as_arrays_and_still_work(tmp_path):
    pd.DataFrame({"messages": CHATS}).to_parquet(tmp_path / "chats.parquet")
    read = pd.read_parquet(tmp_path / "chats.parquet")
    assert isinstance(read["messages"][0], np.ndarray)
    assert as_conversations(read).texts() == TEXTS


def test_several_turns_keep_their_roles():
    chat = [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [{"type": "text", "text": "Hi "}, {"type": "text", "text": "you"}],
        },
        {"role": "assistant", "content": "Hello"},
    ]
    conversations = as_conversations([chat])
    assert conversations.texts() == ["system: Be brief.\n\nuser: Hi you\n\nHello"]
    assert [m["role"] for m in conversations.messages()[0]] == ["system", "user", "assistant"]
    assert conversations.messages()[0][1]["content"] == "Hi you"


def test_no_rows():
    assert as_conversations([]).texts() == []
    assert as_conversations(frame().iloc[:0]).texts() == []


def test_rows_are_not_altered():
    chats = [[dict(message) for message in chat] for chat in CHATS]
    as_conversations(chats).messages()[0][0]["content"] = "changed"
    assert chats == CHATS


IMAGE = [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}, CHATS[0][1]]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (pd.DataFrame({"prompt": ["a"], "answer": ["b"]}), "'answer'.*rename"),
        (frame().assign(completion=["4", "", " \n"]), "empty in 2 of 3 rows .first: row 1."),
        (frame().assign(completion=["4", None, "x"]), "completion is missing in 1 of 3 rows"),
        (frame().assign(prompt=["4", np.nan, pd.NA]).astype(object), "prompt is missing in 2 of 3"),
        ([("a", 3)], "completion is neither.*row 0"),
        ([("a", "b"), "text"], "neither a .prompt, completion. pair.*1 of 2 rows .first: row 1"),
        ([("a", "b", "c")], "pair"),
        (["text"], "pair"),
        ("text", "single str"),
        ({"prompt": "a"}, "single dict"),
        (7, "single int"),
        ([CHATS[0][:1]], "last message is not the assistant's in 1 of 1"),
        ([CHATS[0], ("a", "b")], "row 0"),
        (pd.DataFrame({"messages": [CHATS[0], None]}), "1 of 2 rows .first: row 1"),
        ([([], [])], "completion is empty"),
        ([[{"role": "user", "content": "a"}, {"role": "assistant", "content": None}]], "empty"),
    ],
)
def test_errors_say_what_where_and_how_to_cure(rows, words):
    with pytest.raises(InvalidInputError, match=words) as caught:
        as_conversations(rows)
    assert str(caught.value).count(". ") <= 1


visible = st.text(min_size=1).filter(lambda text: not text.isspace())


@given(st.lists(st.tuples(st.text(), visible), max_size=8))
def test_pairs_frames_and_chats_agree_on_any_unicode(pairs):
    expected = [f"{p}\n\n{c}" if p else c for p, c in pairs]
    assert as_conversations(pairs).texts() == expected
    chats = [
        [{"role": "user", "content": p}, {"role": "assistant", "content": c}] for p, c in pairs
    ]
    assert as_conversations(chats).texts() == expected
    frame = pd.DataFrame(pairs, columns=["prompt", "completion"])
    assert as_conversations(frame).texts() == expected


def test_images_are_not_read_and_counted():
    with pytest.warns(DataLossWarning, match="1 prompts or completions hold images") as caught:
        rows = as_conversations([IMAGE])
    assert caught[0].message.code == "unread-parts"
    assert rows.texts() == [CHATS[0][1]["content"]]


@pytest.mark.parametrize(
    "chat",
    [
        [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}],
        [{"type": "human", "content": "Hi"}, {"type": "ai", "content": "Hello"}],
        [
            {"role": "user", "parts": [{"text": "Hi"}]},
            {"role": "model", "parts": [{"text": "Hello"}]},
        ],
        [
            SimpleNamespace(role="user", content="Hi"),
            SimpleNamespace(role="assistant", content=[{"type": "output_text", "text": "Hello"}]),
        ],
        [
            {"role": "user", "content": "Hi"},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "A greeting."},
                    {"type": "text", "text": "Hello"},
                ],
            },
        ],
    ],
)
def test_messages_of_other_tools_read_like_openais(chat):
    rows = as_conversations([chat])
    assert rows.texts() == ["Hi\n\nHello"]
    assert [turn["role"] for turn in rows.messages()[0]] == ["user", "assistant"]


def test_messages_that_only_call_a_tool_do_not_stop_others():
    chat = [
        {"role": "user", "content": "2+2?"},
        {"role": "assistant", "tool_calls": [{"id": "1"}]},
        {"role": "tool", "content": "4"},
        {"role": "assistant", "content": "It is 4."},
    ]
    assert as_conversations([chat]).texts() == ["user: 2+2?\n\nassistant: \n\ntool: 4\n\nIt is 4."]
    with pytest.raises(InvalidInputError, match="completion is empty in 1 of 1"):
        as_conversations([chat[:2]])


@pytest.mark.parametrize("kind", ["records", "arrow", "polars", "datasets", "generator"])
def test_tables_and_records_of_other_libraries(kind):
    records = [{"prompt": "Hi", "completion": "Hello", "id": k} for k in range(2)]
    if kind == "arrow":
        rows = pytest.importorskip("pyarrow").Table.from_pylist(records)
    elif kind == "polars":
        rows = pytest.importorskip("polars").DataFrame(records)
    elif kind == "datasets":
        rows = pytest.importorskip("datasets").Dataset.from_list(records)
    else:
        rows = records if kind == "records" else (record for record in records)
    assert as_conversations(rows).texts() == ["Hi\n\nHello"] * 2
