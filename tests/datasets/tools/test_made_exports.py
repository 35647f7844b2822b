"""Exports made here, in the forms that tools write: one odd thing each."""

import json
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from skcausalrm.datasets import load_feedback
from skcausalrm.exceptions import DataLossWarning, FileFormatError

pytestmark = pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.SkcausalrmWarning")


def nan_equal(values, expected):
    return np.array_equal(np.asarray(values, dtype=float), expected, equal_nan=True)


def trace(key, text="q", output="a", **more):
    return {"id": key, "input": text, "output": output, "sessionId": None, "tags": [], **more}


def test_a_users_own_table_is_no_tools():
    rows = [{"id": k, "input": "q", "output": "a", "feedback": k % 2} for k in range(3)]
    logs = load_feedback(rows)
    assert logs.attrs["load_feedback"]["format"] == "plain"
    assert nan_equal(logs["feedback"], [0, 1, 0])


class TestInputs:
    @pytest.mark.parametrize(
        ("value", "prompt"),
        [
            ({"question": "q"}, "q"),
            ({"input": {"question": "q"}}, "q"),
            ({"args": ["q"], "kwargs": {}}, "q"),
            ({"args": [], "kwargs": {"query": "q"}}, "q"),
            ({"messages": [["user", "q"]]}, "q"),
            ({"messages": [("human", "q")], "model": "m"}, "q"),
            ({"messages": [[{"role": "user", "content": "q"}]]}, "q"),
            ("{'question': 'q'}", "q"),
            (json.dumps(json.dumps({"question": "q"})), "q"),
            ({"role": "user", "content": [{"type": "text", "text": "q"}, {"type": "image"}]}, "q"),
            (
                {"input": "and?", "chat_history": [{"type": "human", "content": "q"}]},
                [{"role": "user", "content": "q"}, {"role": "user", "content": "and?"}],
            ),
            (
                {"system": "Be brief.", "question": "q"},
                [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "q"}],
            ),
        ],
    )
    def test_prompts(self, value, prompt):
        run = {"id": "r", "inputs": value, "outputs": {"output": "a"}}
        assert load_feedback([run])["prompt"][0] == prompt

    @pytest.mark.parametrize(
        "value",
        [
            {"answer": "a"},
            {"output": {"text": "a"}},
            {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]},
            {"choices": [{"message": {"role": "assistant", "content": "a"}}, {"message": {}}]},
            {"generations": [[{"text": "a"}]]},
            {"candidates": [{"content": {"role": "model", "parts": [{"text": "a"}]}}]},
            {"output": [{"type": "reasoning"}, {"type": "message", "role": "assistant",
                         "content": [{"type": "output_text", "text": "a"}]}]},
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "x"},
                                              {"type": "text", "text": "a"}]},
        ],
    )  # fmt: skip
    def test_answers(self, value):
        run = {"id": "r", "inputs": {"question": "q"}, "outputs": value}
        assert load_feedback([run])["completion"].tolist() == ["a"]

    def test_texts_that_are_json_stay_texts(self):
        logs = load_feedback(
            [trace("a", "[1, 2, 3]", '{"answer": "Paris"}'), trace("b", "q", "[]")]
        )
        assert logs["prompt"].tolist() == ["[1, 2, 3]", "q"]
        assert logs["completion"].tolist() == ['{"answer": "Paris"}', "[]"]

    def test_keys_that_the_caller_names(self):
        rows = [trace("a", {"x": {"y": "q"}, "z": 1}, {"u": ["no", "a"], "v": 2})]
        logs = load_feedback(rows, prompt_key="x.y", completion_key="u.1")
        assert (logs["prompt"][0], logs["completion"][0]) == ("q", "a")

    def test_the_models_call_serves_where_the_root_cannot_be_read(self):
        runs = [
            {"id": "r", "inputs": {"x": 1, "y": 2}, "outputs": {"u": 1, "v": 2}, "run_type": "-"},
            {
                "id": "s", "parent_run_id": "r", "run_type": "llm",
                "inputs": {"messages": [{"role": "user", "content": "q"}]},
                "outputs": {"choices": [{"message": {"role": "assistant", "content": "a"}}]},
            },
        ]  # fmt: skip
        logs = load_feedback(runs)
        assert logs[["id", "prompt", "completion"]].to_numpy().tolist() == [["r", "q", "a"]]


class TestLeftOut:
    def test_each_reason_is_counted_with_ids(self):
        call = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}
        rows = [
            *(trace("a"), trace("b", output=call), trace("c", output="")),
            *(trace("d", output=None), trace("e", {"x": 1, "y": 2}), trace("f", output={})),
        ]
        with pytest.warns(DataLossWarning, match="5 rows that were left out") as caught:
            logs = load_feedback(rows)
        assert logs["id"].tolist() == ["a"]
        left_out = logs.attrs["load_feedback"]["left_out"]
        assert {reason: entry["ids"] for reason, entry in left_out.items()} == {
            "no answer": ["b", "d", "f"],
            "empty answer": ["c"],
            "unreadable prompt": ["e"],
        }
        assert "prompt_key" in str(caught[0].message)

    def test_of_many_rows_the_few_odd_ones(self):
        rows = [{"prompt": f"q{k}", "completion": f"a{k}", "feedback": k % 2} for k in range(95)]
        rows += [
            {"prompt": "q", "completion": "", "feedback": 1},
            {"prompt": "q", "completion": None, "feedback": 1},
            {"prompt": "q", "completion": "a", "feedback": "perhaps"},
            {"prompt": None, "completion": "a", "feedback": 1},
            {"prompt": {"x": 1, "y": 2}, "completion": "a", "feedback": 1},
        ]
        logs = load_feedback(rows)
        left_out = logs.attrs["load_feedback"]["left_out"]
        assert {reason: entry["ids"] for reason, entry in left_out.items()} == {
            "empty answer": ["row 95"],
            "no answer": ["row 96"],
            "unreadable feedback": ["row 97"],
            "no prompt": ["row 98"],
            "unreadable prompt": ["row 99"],
        }
        assert len(logs) == 95


class TestLabels:
    def test_zero_next_to_minus_one_is_no_rating(self):
        rows = [
            {"prompt": "q", "completion": f"a{k}", "feedback": value}
            for k, value in enumerate((1, 0, -1, 0))
        ]
        with pytest.warns(DataLossWarning, match="2 zeros of feedback that were read as no rating"):
            logs = load_feedback(rows)
        assert nan_equal(logs["feedback"], [1, np.nan, 0, np.nan])
        assert nan_equal(load_feedback(rows, labels={0: 0})["feedback"], [1, 0, 0, 0])
        # The spellings of all sources decide.
        logs = load_feedback([rows[:2], rows[2:]])
        assert nan_equal(logs["feedback"], [1, np.nan, 0, np.nan])

    def test_scores_of_tools(self):
        scores = [
            {"traceId": key, "name": "thumbs", "value": value, "source": "API"}
            for key, value in (("a", 1), ("b", 0), ("c", -1))
        ]
        logs = load_feedback([trace(key) for key in "abc"], scores=scores)
        assert nan_equal(logs["feedback"], [1, np.nan, 0])

    def test_an_unused_column_that_looks_like_a_rating_is_named(self):
        rows = [{"prompt": "q", "completion": "a", "feedback": None, "csat": 5}]
        with pytest.warns(DataLossWarning, match="'csat' look like ratings and are not used"):
            load_feedback(rows)


class TestConversations:
    def test_groups(self):
        def chat(*texts):
            roles = ("user", "assistant")
            return [{"role": roles[k % 2], "content": text} for k, text in enumerate(texts)]

        chats = [
            chat("Hi", "Hello", "Soup?", "Yes."),
            chat("Hi", "Hey", "Bread?", "No."),
            chat("Hi", "Hello"),  # an earlier turn of the first
            chat("What is 2 + 2?", "4"),
            chat("What is 2 + 2?", "5"),
        ]
        logs = load_feedback([{"messages": turns, "feedback": None} for turns in chats])
        assert logs["group"].tolist() == [0, 1, 0, 2, 2]
        four = [{"messages": chat("Hi", f"{k}"), "feedback": None} for k in range(4)]
        assert load_feedback(four)["group"].nunique() == 4

    def test_turns_and_next_messages(self):
        rows = [
            {"prompt": text, "completion": "a", "feedback": None, "session": s, "created_at": time}
            for text, s, time in (("q1", "s", 1e9), ("q3", "t", 2e9), ("q2", "s", 3e9))
        ]
        logs = load_feedback(rows)
        assert logs["turn"].tolist() == [1, 1, 2]
        assert logs["next_message"].tolist() == ["q2", None, None]
        assert logs["group"].tolist() == [0, 1, 0]


class TestSources:
    def test_objects(self):
        @dataclass
        class Turn:
            prompt: str
            completion: str
            feedback: bool | None

        rows = [Turn("q", "a", True), Turn("q", "b", None)]
        for source in (rows, (row for row in rows), [SimpleNamespace(**vars(row)) for row in rows]):
            assert nan_equal(load_feedback(source)["feedback"], [1, np.nan])
        with pytest.raises(FileFormatError, match="list of JSON objects"):
            load_feedback([object()])

    @pytest.mark.parametrize("separator", [",", ";", "\t"])
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    def test_spreadsheets(self, tmp_path, separator, encoding):
        rows = [["question", "answer", "liked"], ["Größe?", "a, b; c", "WAHR"], ["q", "a", ""]]
        path = tmp_path / "log.csv"
        frame = pd.DataFrame(rows[1:], columns=rows[0])
        frame.to_csv(path, index=False, sep=separator, encoding=encoding)
        logs = load_feedback(path)
        assert logs["prompt"].tolist() == ["Größe?", "q"]
        assert logs["completion"].tolist() == ["a, b; c", "a"]
        assert nan_equal(logs["feedback"], [1, np.nan])

    def test_latin_1_and_workbooks_are_named(self, tmp_path):
        (tmp_path / "a.csv").write_bytes(
            "prompt,completion,feedback\nGröße,a,1\n".encode("latin-1")
        )
        with pytest.raises(FileFormatError, match="save it as UTF-8"):
            load_feedback(tmp_path / "a.csv")
        (tmp_path / "a.xlsx").write_bytes(b"PK")
        with pytest.raises(FileFormatError, match="save it as one of these"):
            load_feedback(tmp_path / "a.xlsx")

    def test_lines_and_pages_under_the_name_json(self, tmp_path):
        rows = [{"prompt": f"q{k}", "completion": "a", "feedback": k} for k in range(2)]
        forms = {
            "lines": "\n".join(map(json.dumps, rows)),
            "pretty": "\n".join(json.dumps(row, indent=2) for row in rows),
            "page": json.dumps({"data": rows, "meta": {"page": 1}}),
            "columns": pd.DataFrame(rows).to_json(),
        }
        for name, text in forms.items():
            path = tmp_path / f"{name}.json"
            path.write_text(text)
            assert nan_equal(load_feedback(path)["feedback"], [0, 1]), name

    def test_times(self):
        times = ["2026-01-01 09:18:26 UTC", "Thu, 01 Jan 2026 09:18:26 GMT", "2026-01-01T09:18:26Z"]
        rows = [
            {"prompt": "q", "completion": "a", "feedback": None, "created_at": time}
            for time in (*times, "soon")
        ]
        with pytest.warns(DataLossWarning, match="1 times that cannot be read"):
            logs = load_feedback(rows)
        assert (logs["timestamp"][:3] == pd.Timestamp("2026-01-01T09:18:26Z")).all()


class TestTools:
    def test_chainlit(self):
        def step(key, kind, text, thread="t", **more):
            return {"id": key, "type": kind, "output": text, "threadId": thread, "input": "",
                    "createdAt": f"2026-01-01T00:00:0{key[-1]}Z", **more}  # fmt: skip

        steps = [
            step("u1", "user_message", "Question?"),
            step("r2", "run", ""),
            step("a3", "assistant_message", "Answer.", parentId="r2"),
            step("u4", "user_message", "More?"),
            step("a5", "assistant_message", "No."),
            step("u6", "user_message", "Fails?", "t2"),
            step("a7", "assistant_message", "Error", "t2", isError=True),
        ]
        feedbacks = [{"id": "f", "forId": "r2", "value": 1, "comment": "fine"},
                     {"id": "g", "forId": "a5", "value": 0}]  # fmt: skip
        logs = load_feedback(steps, scores=feedbacks)
        assert logs.attrs["load_feedback"]["format"] == "chainlit"
        assert logs["completion"].tolist() == ["Answer.", "No."]
        assert logs["prompt"][0] == "Question?"
        assert [turn["content"] for turn in logs["prompt"][1]] == ["Question?", "Answer.", "More?"]
        assert nan_equal(logs["feedback"], [1, 0])
        assert logs["next_message"].fillna("").tolist() == ["More?", ""]
        assert logs["comment"].tolist()[0] == "fine"
        with pytest.raises(FileFormatError, match="pass the traces as source"):
            load_feedback(feedbacks)

    def test_weave(self):
        def item(kind, payload):
            return {"feedback_type": kind, "payload": payload, "creator": "u"}

        calls = [
            {
                "id": f"c{k}", "op_name": "chat", "trace_id": f"t{k}", "parent_id": None,
                "started_at": "2026-01-01T00:00:00Z", "ended_at": "2026-01-01T00:00:02Z",
                "inputs": {"self": {"model": "m"}, "question": f"q{k}"}, "output": f"a{k}",
                "summary": {"weave": {"feedback": feedback}},
                "attributes": {"session_id": "s"},
            }
            for k, feedback in enumerate(
                [
                    [item("wandb.reaction.1", {"emoji": "👍"}), item("wandb.note.1", {"n": 1})],
                    [item("wandb.reaction.1", {"emoji": "👎"}),
                     item("wandb.runnable.relevance", {"output": 0.5})],
                    [],
                ]
            )
        ]  # fmt: skip
        logs = load_feedback(calls)
        assert nan_equal(logs["feedback"], [1, 0, np.nan])
        assert nan_equal(logs["judge_score"], [np.nan, 0.5, np.nan])
        assert logs["prompt"].tolist() == ["q0", "q1", "q2"]
        assert (logs["latency"] == 2).all()

    @pytest.mark.parametrize("nested", [True, False])
    def test_oasst(self, nested):
        def message(key, role, text, parent=None, replies=(), **more):
            own = {"message_id": key, "role": role, "text": text, **more}
            if nested:
                return {**own, "replies": list(replies)}
            flat = {**own, "parent_id": parent, "message_tree_id": "m1"}
            return [flat, *(one for reply in replies for one in reply)]

        labels = {"quality": {"value": 1.0, "count": 3}}
        tree = message("m1", "prompter", "q", replies=[
            message("m2", "assistant", "a", "m1", labels=labels, replies=[
                message("m4", "prompter", "and?", "m2", replies=[
                    message("m5", "assistant", "c", "m4")])]),
            message("m3", "assistant", "b", "m1"),
        ])  # fmt: skip
        source = [{"message_tree_id": "m1", "prompt": tree}] if nested else tree
        logs = load_feedback(source, verified_name="quality").sort_values("id")
        assert logs["completion"].tolist() == ["a", "b", "c"]
        assert logs["next_message"].fillna("").tolist() == ["and?", "", ""]
        assert nan_equal(logs["verified"], [1, np.nan, np.nan])
        assert logs["group"].nunique() == 1

    def test_sharegpt(self):
        chat = [{"from": "system", "value": "Be brief."}, {"from": "human", "value": "q"},
                {"from": "gpt", "value": "a"}]  # fmt: skip
        logs = load_feedback(
            [{"id": "x", "conversations": chat, "label": True}, {"conversations": chat}]
        )
        assert logs["completion"].tolist() == ["a", "a"]
        assert logs["prompt"][0][0] == {"role": "system", "content": "Be brief."}

    def test_verl_and_datasets_in_csv(self):
        prompt = [{"content": "q", "role": "user"}]
        rows = [{"prompt": str(prompt), "completion": "a", "label": True},
                {"prompt": json.dumps(prompt), "completion": json.dumps(
                    [{"role": "assistant", "content": "b"}]), "label": None}]  # fmt: skip
        logs = load_feedback(rows)
        assert logs["prompt"].tolist() == ["q", "q"]
        assert logs["completion"].tolist() == ["a", "b"]
        extra = [{"data_source": "x", "extra_info": str({"question": "q", "answer": "a"}),
                  "completion": "a", "feedback": None}]  # fmt: skip
        logs = load_feedback(extra, prompt_column="extra_info", prompt_key="question")
        assert logs["prompt"].tolist() == ["q"]

    def test_scores_above_and_below_the_answer(self):
        spans = [
            {"context.span_id": "http", "context.trace_id": "t", "parent_id": None},
            {
                "context.span_id": "llm", "context.trace_id": "t", "parent_id": "http",
                "attributes.input.value": "q", "attributes.output.value": "a",
            },
        ]  # fmt: skip
        for where in ({"span_id": "http"}, {"span_id": "llm"}, {"trace_id": "t"}):
            score = {"name": "thumbs", "annotator_kind": "HUMAN", "source": "API",
                     "result": {"label": "thumbs-up"}, **where}  # fmt: skip
            assert nan_equal(load_feedback(spans, scores=[score])["feedback"], [1])

    def test_a_metric_nobody_asked_for(self):
        spans = [
            {"context.span_id": k, "attributes.input.value": "q", "attributes.output.value": "a"}
            for k in "xy"
        ]
        scores = [
            {"span_id": "x", "name": "n_chars", "annotator_kind": "CODE", "result": {"score": 350}},
            {"span_id": "y", "name": "tone", "annotator_kind": "LLM", "result": {"label": "mild"}},
            {"span_id": "x", "name": "up", "annotator_kind": "HUMAN", "result": {"score": 1}},
            {"span_id": "y", "name": "note", "annotator_kind": "HUMAN", "result": {"label": "hm"}},
        ]
        with pytest.warns(DataLossWarning, match="2 scores that are neither"):
            logs = load_feedback(spans, scores=scores)
        assert nan_equal(logs["feedback"], [1, np.nan])
        assert "judge_score" not in logs
