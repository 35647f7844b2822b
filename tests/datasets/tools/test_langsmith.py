"""LangSmith: forms of runs, texts of LangChain and LangGraph, feedback and its summaries."""

import datetime as dt
import uuid

import numpy as np
import pandas as pd
import pytest

from skcausalrm.datasets import load_feedback

pytestmark = pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.SkcausalrmWarning")
START = dt.datetime(2026, 5, 4, 9, tzinfo=dt.UTC)
API, APP, JUDGE = ({"type": kind} for kind in ("api", "app", "model"))


def key(number):
    return str(uuid.UUID(int=number))


def run(number, inputs=None, outputs=None, kind="chain", of=None, **more):
    return {
        "id": key(number),
        "trace_id": key(of or number),
        "run_type": kind,
        "start_time": START,
        "end_time": START + dt.timedelta(seconds=2),
        "inputs": {"question": f"q{number}"} if inputs is None else inputs,
        "outputs": {"output": f"a{number}"} if outputs is None else outputs,
        "extra": {"metadata": {"user_id": "u", "thread_id": f"thread {number}"}},
        **more,
    }


def call(number, of, **more):
    """Make a model's call below the run `of`."""
    inputs = {"messages": [{"role": "user", "content": "q of the call"}], "model": "tiny"}
    message = {"role": "assistant", "content": "a of the call"}
    usage = {"input_tokens": 3, "output_tokens": 4}
    outputs = {"choices": [{"message": message}], "usage_metadata": usage}
    return run(number, inputs, outputs, kind="llm", of=of, **more)


def feedback(number, score=1, name="user_score", source=API, **more):
    return {"run_id": key(number), "key": name, "score": score, "feedback_source": source, **more}


def rated(logs):
    pairs = zip(logs["id"], logs["feedback"], strict=True)
    return {uuid.UUID(name).int: value for name, value in pairs if not np.isnan(value)}


def message(kind, content):
    """Return a message as LangChain serialises it."""
    return {
        "lc": 1,
        "type": "constructor",
        "id": ["langchain", "schema", "messages", f"{kind}Message"],
        "kwargs": {"content": content, "type": kind.lower()},
    }


class TestTrees:
    @pytest.mark.parametrize(
        "runs",
        [
            [run(1), call(2, 1, parent_run_id=key(1))],
            [run(1, parent_run_ids=[]), call(2, 1, parent_run_ids=[key(9), key(1)])],
            [run(1, child_runs=[call(2, 1, parent_run_id=key(1), child_runs=None)])],
            [
                run(1, child_runs=[run(3, of=1, parent_run_id=key(1), child_runs=[
                    call(2, 1, parent_run_id=key(3))])])
            ],
        ],
        ids=["parent", "parents", "child runs", "grandchildren"],
    )  # fmt: skip
    def test_calls_are_below_their_run(self, runs):
        logs = load_feedback(runs, scores=[feedback(2, 0)])
        assert logs[["prompt", "completion"]].to_numpy().tolist() == [["q1", "a1"]]
        assert rated(logs) == {1: 0}
        row = logs.iloc[0]
        assert (row["model"], row["prompt_tokens"], row["completion_tokens"]) == ("tiny", 3, 4)
        assert (row["user"], row["conversation"], row["latency"]) == ("u", "thread 1", 2)

    def test_the_call_serves_where_the_run_cannot_be_read(self):
        runs = [run(1, {"x": 1, "y": 2}, {"u": 1, "v": 2}, child_runs=[
            call(2, 1, parent_run_id=key(1))])]  # fmt: skip
        logs = load_feedback(runs)
        assert logs[["prompt", "completion"]].to_numpy().tolist() == [
            ["q of the call", "a of the call"]
        ]


class TestTexts:
    @pytest.mark.parametrize(
        ("inputs", "outputs", "prompt", "answer"),
        [
            (
                {"messages": [("user", "q")]},
                {"messages": [message("Human", "q"), message("AI", ""), message("Tool", "42"),
                              message("AI", [{"type": "text", "text": "It is 42."}])]},
                "q",
                "It is 42.",
            ),
            (
                {"input": "and?", "chat_history": [message("Human", "q"), message("AI", "a")]},
                {"output": message("AI", "b")},
                [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"},
                 {"role": "user", "content": "and?"}],
                "b",
            ),
            (
                {"messages": [[message("System", "Be brief."), message("Human", "q")]]},
                {"generations": [[{"text": "", "message": message("AI", [
                    {"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "a"}])}]]},
                [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "q"}],
                "a",
            ),
            (
                {"question": "q", "context": ["x", "y"]},
                {"answer": '{"city": "Paris"}', "sources": []},
                "q",
                '{"city": "Paris"}',
            ),
        ],
        ids=["LangGraph", "chat_history", "generations", "an answer of JSON"],
    )  # fmt: skip
    def test_langchain(self, inputs, outputs, prompt, answer):
        logs = load_feedback([run(1, inputs, outputs)])
        assert logs["prompt"].tolist() == [prompt]
        assert logs["completion"].tolist() == [answer]

    @pytest.mark.parametrize(
        ("inputs", "prompt"),
        [
            ({"args": ["q"], "k": 2}, "q"),
            ({"message": "q", "history": [("human", "a"), ("ai", "b")]}, None),
            ({"messages": ("user", "q")}, "q"),
            ({"messages": "q"}, "q"),
        ],
    )
    def test_inputs_of_functions_and_graphs(self, inputs, prompt):
        found = load_feedback([run(1, inputs)])["prompt"][0]
        if prompt is None:
            assert [turn["content"] for turn in found] == ["a", "b", "q"]
        else:
            assert found == prompt

    @pytest.mark.parametrize("serialised", [False, True])
    def test_pieces_of_messages(self, serialised):
        def piece(text, key="2"):
            fields = {"content": text, "type": "AIMessageChunk", "id": key}
            whole = {"lc": 1, "id": ["schema", "AIMessageChunk"], "kwargs": fields}
            return whole if serialised else fields

        pieces = [piece("", "1"), piece("It "), piece("is "), piece("42."), piece("")]
        logs = load_feedback([run(1, None, {"output": pieces})])
        assert logs["completion"].tolist() == ["It is 42."]
        history = {"input": "and?", "chat_history": [message("Human", "q"), piece("a")]}
        roles = [turn["role"] for turn in load_feedback([run(1, history)])["prompt"][0]]
        assert roles == ["user", "assistant", "user"]

    def test_pieces_of_openai(self):
        def piece(*deltas):
            return {"object": "chat.completion.chunk", "choices": [{"delta": d} for d in deltas]}

        pieces = [
            piece({"role": "assistant", "content": ""}), piece({"content": "It is"}),
            piece({"content": " 42."}), piece({}), piece(),
        ]  # fmt: skip
        logs = load_feedback([run(1, None, {"output": pieces})])
        assert logs["completion"].tolist() == ["It is 42."]

    def test_nothing_as_json_is_no_answer(self):
        logs = load_feedback([run(1), {**run(2), "outputs": "null"}])
        assert logs.attrs["load_feedback"]["left_out"]["no answer"]["ids"] == [key(2)]

    def test_failed_and_empty_runs_are_counted(self):
        runs = [run(1), run(2, outputs={}, error="boom"), run(3, outputs={"output": ""})]
        logs = load_feedback([*runs, {**run(4), "outputs": None}])
        left_out = logs.attrs["load_feedback"]["left_out"]
        assert left_out["no answer"]["ids"] == [key(2), key(3), key(4)]

    def test_what_python_prints_in_a_table(self, tmp_path):
        texts = "{'messages': [HumanMessage(content='q', id=UUID('1'), response_metadata={})]}"
        answer = "{'messages': [AIMessageChunk(content='a', at=datetime.datetime(2026, 5, 4))]}"
        rows = [run(1), {**run(2), "inputs": texts, "outputs": answer}]
        pd.DataFrame(rows).to_csv(tmp_path / "runs.csv", index=False)
        pd.DataFrame([feedback(1), feedback(2, 0)]).to_csv(tmp_path / "scores.csv", index=False)
        logs = load_feedback(tmp_path / "runs.csv", scores=tmp_path / "scores.csv")
        assert logs["prompt"].tolist() == ["q1", "q"]
        assert logs["completion"].tolist() == ["a1", "a"]
        assert rated(logs) == {1: 1, 2: 0}
        assert logs["user"].tolist() == ["u", "u"]


class TestFeedback:
    def test_by_source(self):
        scores = [
            feedback(1, 0),
            feedback(1, 1, "correct", APP),
            feedback(1, 0.7, "relevance", JUDGE),
            feedback(2, None, "user_score", value="thumbs_up"),
            feedback(2, None, "user_remark", value="fine"),  # no rating
        ]
        logs = load_feedback([run(1), run(2)], scores=scores, verified_name="correct")
        assert rated(logs) == {1: 0, 2: 1}
        assert logs["verified"].dropna().tolist() == [1]
        assert logs["judge_score"].dropna().tolist() == [0.7]
        assert logs.attrs["load_feedback"]["n_other_scores"] == 1

    def test_summaries_in_the_runs(self):
        def summed(number, **statistics):
            return run(number, feedback_stats=statistics)

        runs = [
            summed(1, user_score={"n": 1, "avg": 1.0, "comments": ["fine"]}),
            summed(2, user_score={"n": 3, "avg": 1 / 3, "values": {}}),
            summed(3, user_score={"n": 2, "avg": 0.5}),
            summed(4, user_score={"n": 0, "avg": None, "values": {"thumbs_down": 1}}),
            summed(5, relevance={"n": 3, "avg": 0.7, "sources": ["model"]}),
            summed(6, grade={"n": 1, "avg": 0.3}),  # nobody knows whose
            run(7, feedback_stats=None),
        ]
        logs = load_feedback(runs)
        assert rated(logs) == {1: 1, 2: 0, 4: 0}
        assert logs["judge_score"].dropna().tolist() == [0.7]
        assert logs["comment"].dropna().tolist() == ["fine"]
        facts = logs.attrs["load_feedback"]
        assert (facts["n_split"], facts["n_other_scores"]) == (1, 1)
        # Feedback that is given says more than its summary.
        assert rated(load_feedback(runs, scores=[feedback(7, 0)])) == {7: 0}

    @pytest.mark.parametrize(
        "more",
        [
            {"feedback_stats": {"user_score": 0}},
            {"feedback_stats": '{"user_score": {"n": 1, "avg": 0.0}}'},
            {"feedback": [feedback(1, 0)]},
            {"feedback": [{"key": "user_score", "score": 0, "feedback_source": API}]},
            {"feedback.user_score": 0},
            {"feedback_stats.user_score.avg": 0.0},
        ],
    )
    def test_inside_the_runs(self, more):
        assert rated(load_feedback([run(1, **more), run(2)])) == {1: 0}

    @pytest.mark.parametrize("source", ["api", {"type": "api"}, '{"type": "api"}'])
    def test_the_sources_of_a_summary(self, source):
        statistics = {"quality": {"n": 1, "avg": 1.0, "sources": [source]}}
        assert rated(load_feedback([run(1, feedback_stats=statistics), run(2)])) == {1: 1}


def test_a_persons_own_table_of_inputs_and_outputs():
    rows = [{"id": n, "inputs": f"q{n}", "outputs": "a", "rating": n % 2} for n in range(3)]
    logs = load_feedback(rows)
    assert logs.attrs["load_feedback"]["format"] == "plain"
    assert logs["feedback"].tolist() == [0, 1, 0]
