import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skcausalrm.datasets import load_feedback, make_feedback_logs
from skcausalrm.exceptions import AssumptionWarning, DataLossWarning, FeedbackError, FileFormatError


def nan_equal(values, expected):
    return np.array_equal(np.asarray(values, dtype=float), expected, equal_nan=True)


class Tool:
    """The same answers a, b, c and the same scores as one tool writes them."""

    def __init__(self, name):
        self.name = name

    def answers(self, marks=None):
        """Answers a, b, c; `marks` is (tags, metadata) by answer."""
        return [self._answer(key, *(marks or {}).get(key, ([], {}))) for key in "abc"]

    def _answer(self, key, tags, metadata):
        question, answer = f"question {key}", f"answer {key}"
        if self.name == "langfuse":
            return {"id": key, "input": question, "output": answer, "tags": tags,
                    "metadata": json.dumps(metadata)}  # fmt: skip
        if self.name == "langsmith":
            return {"id": key, "inputs": {"input": question}, "outputs": {"output": answer},
                    "tags": tags, "extra": {"metadata": metadata}}  # fmt: skip
        if self.name == "phoenix":
            attributes = {"input.value": question, "output.value": answer,
                          "metadata": json.dumps(metadata), "tag.tags": tags}  # fmt: skip
            return {"context": {"trace_id": f"t-{key}", "span_id": key}, "span_kind": "LLM",
                    "attributes": attributes}  # fmt: skip
        messages = [
            [{"role": role, "parts": [{"type": "text", "content": text}]}]
            for role, text in (("user", question), ("assistant", answer))
        ]
        attributes = {
            "gen_ai.input.messages": json.dumps(messages[0]),
            "gen_ai.output.messages": json.dumps(messages[1]),
            **metadata,
        }
        span = {"spanId": key, "traceId": f"t-{key}", "attributes": _otlp(attributes)}
        return {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}

    def score(self, key, name, value, *, of="user", rater=None, hour=0, metadata=None):
        time = f"2026-05-04T{hour:02d}:00:00Z"
        metadata = metadata or {}
        if self.name == "langfuse":
            source = {"user": "API", "team": "ANNOTATION", "judge": "EVAL"}[of]
            return {"traceId": key, "name": name, "value": value, "source": source,
                    "authorUserId": rater, "timestamp": time, "metadata": metadata}  # fmt: skip
        if self.name == "langsmith":
            kind = {"user": "api", "team": "app", "judge": "model"}[of]
            source = {"type": kind, "user_id": rater, "metadata": metadata}
            return {"run_id": key, "key": name, "score": value, "feedback_source": source,
                    "modified_at": time}  # fmt: skip
        if self.name == "phoenix":
            return {"span_id": key, "name": name, "result": {"score": value},
                    "annotator_kind": "LLM" if of == "judge" else "HUMAN",
                    "source": "APP" if of == "team" else "API", "user_id": rater,
                    "identifier": "", "updated_at": time, "metadata": metadata}  # fmt: skip
        attributes = {
            "gen_ai.evaluation.name": name,
            "gen_ai.evaluation.score.value": float(value),
            **metadata,
        }
        nanoseconds = pd.Timestamp(time).value
        record = {"eventName": "gen_ai.evaluation.result", "spanId": key,
                  "timeUnixNano": str(nanoseconds), "attributes": _otlp(attributes)}  # fmt: skip
        return {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}

    def load(self, scores, marks=None, **kwargs):
        return load_feedback(self.answers(marks), scores=scores, format=self.name, **kwargs)


def _otlp(attributes):
    kinds = {bool: "boolValue", float: "doubleValue", str: "stringValue"}
    return [{"key": k, "value": {kinds[type(v)]: v}} for k, v in attributes.items()]


@pytest.fixture(params=["langfuse", "langsmith", "phoenix"])
def tool(request):
    return Tool(request.param)


@pytest.fixture(params=["langfuse", "langsmith", "phoenix", "otel"])
def any_tool(request):
    return Tool(request.param)


@pytest.mark.parametrize("undated_first", [True, False])
def test_a_dated_score_supersedes_an_undated_one(undated_first):
    tool = Tool("langfuse")
    dated, undated = tool.score("a", "thumbs", 1), tool.score("a", "thumbs", 0)
    undated["timestamp"] = None
    scores = [undated, dated] if undated_first else [dated, undated]
    with pytest.warns(DataLossWarning, match="1 scores superseded"):
        logs = tool.load(scores)
    assert nan_equal(logs["feedback"], [1, np.nan, np.nan])


class TestVerified:
    def test_a_judge_is_never_verified(self, tool):
        scores = [tool.score("a", "judge", 1, of="judge"), tool.score("b", "thumbs", 1)]
        with pytest.raises(FileFormatError, match="judge_score_name='judge' instead"):
            tool.load(scores, verified_name="judge")
        logs = tool.load(scores, judge_score_name="judge")
        assert nan_equal(logs["judge_score"], [1, np.nan, np.nan])
        assert "verified" not in logs.columns

    def test_people_and_models_under_one_name_are_kept_apart(self, tool):
        scores = [
            tool.score("a", "correct", 1, of="team", rater="p"),
            tool.score("a", "correct", 0, of="judge", hour=1),
            tool.score("b", "correct", 1, of="judge"),
            tool.score("b", "correct", 0, of="user"),
        ]
        logs = tool.load(scores, verified_name="correct", feedback_name="correct")
        assert nan_equal(logs["verified"], [1, np.nan, np.nan])
        assert nan_equal(logs["feedback"], [np.nan, 0, np.nan])
        assert nan_equal(logs["judge_score"], [0, 1, np.nan])
        # Two models: neither is taken unasked, and both are counted.
        scores.append(tool.score("c", "other", 1, of="judge"))
        with pytest.warns(DataLossWarning, match="3 scores that are neither"):
            logs = tool.load(scores, verified_name="correct")
        assert nan_equal(logs["verified"], [1, np.nan, np.nan])

    def test_what_the_team_sends_through_the_api(self, tool):
        scores = [tool.score("a", "expert", 0), tool.score("b", "thumbs", 1)]
        logs = tool.load(scores, verified_name="expert")
        assert nan_equal(logs["verified"], [0, np.nan, np.nan])
        assert nan_equal(logs["feedback"], [np.nan, 1, np.nan])

    def test_the_same_scores_cannot_be_feedback_too(self, any_tool):
        scores = [any_tool.score("a", "thumbs", 1)]
        with pytest.raises(FileFormatError, match="verified_name and feedback_name are both"):
            any_tool.load(scores, verified_name="thumbs", feedback_name="thumbs")

    def test_a_name_that_is_not_there(self, tool):
        with pytest.raises(FileFormatError, match=r"verified_name='x' .* users are \['thumbs'\]"):
            tool.load([tool.score("a", "thumbs", 1)], verified_name="x")

    def test_opentelemetry_takes_the_callers_word(self):
        tool = Tool("otel")
        scores = [
            tool.score("a", "thumbs", 1),
            tool.score("b", "expert", 0),
            tool.score("c", "judge", 0.3),
        ]
        logs = tool.load(
            scores, feedback_name="thumbs", verified_name="expert", judge_score_name="judge"
        )
        assert nan_equal(logs["feedback"], [1, np.nan, np.nan])
        assert nan_equal(logs["verified"], [np.nan, 0, np.nan])
        assert nan_equal(logs["judge_score"], [np.nan, np.nan, 0.3])
        # Nothing says that the name left over is the user's and not a judge's.
        with pytest.raises(FileFormatError, match=r"\['thumbs'\].*pass feedback_name"):
            tool.load(scores, verified_name="expert", judge_score_name="judge")

    def test_one_person_may_think_again_and_several_vote(self, tool):
        verdicts = {
            "a": [("p", 0, 1), ("p", 1, 2)],  # thought again
            "b": [("p", 1, 1), ("q", 0, 2)],  # a tie
            "c": [("p", 0, 1), ("q", 1, 3), ("r", 0, 2)],  # two against one
        }
        scores = [
            tool.score(key, "correct", value, of="team", rater=rater, hour=hour)
            for key, given in verdicts.items()
            for rater, value, hour in given
        ]
        with pytest.warns(DataLossWarning) as caught:
            logs = tool.load(scores, verified_name="correct")
        assert nan_equal(logs["verified"], [1, np.nan, 0])
        for text in (
            "1 scores superseded",
            "1 verified answers decided by the majority",
            "1 answers on which people are evenly split, which are left unverified",
        ):
            assert text in str(caught[0].message)
        counts = logs.attrs["load_feedback"]
        assert (counts["n_outvoted"], counts["n_undecided"]) == (1, 1)

    def test_without_raters_the_last_verdict_counts(self, tool):
        scores = [
            tool.score("a", "correct", value, of="team", hour=hour)
            for hour, value in enumerate((1, 1, 0))
        ]
        with pytest.warns(DataLossWarning, match="2 scores superseded"):
            logs = tool.load(scores, verified_name="correct")
        assert nan_equal(logs["verified"], [0, np.nan, np.nan])

    def test_an_abstention_is_no_vote(self):
        tool = Tool("langfuse")
        scores = [
            tool.score("a", "correct", value, of="team", rater=rater)
            for rater, value in (("p", 1), ("q", 7), ("r", 1), ("s", 0))
        ] + [tool.score("b", "correct", 7, of="team", rater="p")]
        with pytest.warns(DataLossWarning):
            logs = tool.load(scores, verified_name="correct", labels={7: None})
        assert nan_equal(logs["verified"], [1, np.nan, np.nan])

    def test_phoenix_tells_people_by_the_identifier_of_an_annotation(self):
        tool = Tool("phoenix")
        scores = [
            {**tool.score("a", "expert", value, rater="account"), "identifier": who}
            for who, value in (("p", 1), ("q", 0), ("r", 1))
        ]
        with pytest.warns(DataLossWarning, match="1 verified answers decided"):
            logs = tool.load(scores, verified_name="expert")
        assert nan_equal(logs["verified"], [1, np.nan, np.nan])

    @pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.DataLossWarning")
    @settings(max_examples=20, deadline=None)
    @given(
        st.lists(
            st.tuples(st.sampled_from("abc"), st.sampled_from("pqrs"), st.sampled_from([0, 1])),
            max_size=20,
            unique_by=lambda verdict: verdict[:2],
        ),
        st.randoms(use_true_random=False),
    )
    def test_votes_do_not_depend_on_order(self, verdicts, random):
        tool = Tool("langfuse")

        def load(verdicts):
            scores = [
                tool.score(key, "correct", value, of="team", rater=rater)
                for key, rater, value in verdicts
            ]
            return tool.load([*scores, tool.score("a", "thumbs", 1)], verified_name="correct")

        verdicts = [*verdicts, ("a", "t", 1)]
        shuffled = random.sample(verdicts, len(verdicts))
        one, other = (load(v)["verified"] for v in (verdicts, shuffled))
        assert nan_equal(one, other)
        for key, label in zip("abc", one, strict=True):
            votes = [2 * value - 1 for answer, _, value in verdicts if answer == key]
            assert np.sign(sum(votes)) == (0 if np.isnan(label) else 2 * label - 1)


class TestAsked:
    @pytest.mark.parametrize("kind", ["tag", "metadata", "score"])
    def test_marked_answers_stay_asked_without_an_answer(self, tool, kind):
        marks = {
            "tag": {"a": (["x", "survey"], {}), "b": (["survey"], {}), "c": (["x"], {})},
            "metadata": {key: ([], {"survey": key != "c"}) for key in "abc"},
            "score": None,
        }[kind]
        scores = [tool.score("a", "thumbs", 1), tool.score("c", "thumbs", 0)]
        if kind == "score":
            scores += [tool.score(key, "survey", 1) for key in "ab"]
        logs = tool.load(scores, marks, asked_name="survey")
        assert logs["asked"].dtype == bool
        assert logs["asked"].tolist() == [True, True, False]
        assert nan_equal(logs["feedback"], [1, np.nan, 0])
        assert logs.attrs["load_feedback"]["n_other_scores"] == 0

    def test_opentelemetry_attributes(self):
        tool = Tool("otel")
        marks = {"a": ([], {"app.survey": True}), "b": ([], {"app.survey": True})}
        logs = tool.load([tool.score("a", "thumbs", 1)], marks, asked_name="app.survey",
                         feedback_name="thumbs")  # fmt: skip
        assert logs["asked"].tolist() == [True, True, False]
        assert nan_equal(logs["feedback"], [1, np.nan, np.nan])

    def test_marks_that_only_feedback_carries_hide_who_did_not_answer(self, any_tool):
        scores = [
            any_tool.score("a", "thumbs", 1, metadata={"survey": True}),
            any_tool.score("b", "thumbs", 1),
        ]
        with pytest.warns(DataLossWarning, match="1 asked answers that only their feedback"):
            logs = any_tool.load(scores, asked_name="survey", feedback_name="thumbs")
        assert logs["asked"].tolist() == [True, False, False]

    @pytest.mark.parametrize("above", [True, False])
    def test_a_mark_anywhere_in_the_trace(self, above):
        """On a call below the answer, or on a span above it that holds no messages."""
        tool = Tool("phoenix")
        spans = tool.answers()
        other = {"context": {"trace_id": "t-b", "span_id": "z"}, "span_kind": "CHAIN",
                 "attributes": {"tag.tags": ["survey"]}}  # fmt: skip
        if above:
            spans[1]["parent_id"] = "z"
        else:
            other["parent_id"] = "b"
        logs = load_feedback(
            [*spans, other], scores=[tool.score("a", "thumbs", 1)], asked_name="survey"
        )
        assert logs["asked"].tolist() == [False, True, False]

    def test_tables_whose_index_repeats(self):
        tool = Tool("langfuse")
        answers = pd.DataFrame(tool.answers({"b": (["survey"], {})}), index=[0, 0, 0])
        scores = [tool.score(key, "thumbs", key == "a") for key in "ab"]
        logs = load_feedback(
            answers, scores=pd.DataFrame(scores, index=[7, 7]), asked_name="survey"
        )
        assert nan_equal(logs["feedback"], [1, 0, np.nan])
        assert logs["asked"].tolist() == [False, True, False]

    def test_a_name_that_is_not_there(self, tool):
        marks = {"a": (["blue"], {"region": "eu"})}
        with pytest.raises(
            FileFormatError,
            match=r"asked_name='x' is neither .*\['blue'\].*\['region'\].*\['thumbs'\]",
        ):
            tool.load([tool.score("a", "thumbs", 1)], marks, asked_name="x")

    def test_a_mark_must_be_yes_or_no(self, tool):
        marks = {"a": ([], {"survey": "maybe"})}
        with pytest.raises(FeedbackError, match=r"survey of the answers.*'maybe'"):
            tool.load([tool.score("a", "thumbs", 1)], marks, asked_name="survey")

    def test_open_webui_marks_feedback_only(self):
        message = {"role": "assistant", "content": "a", "id": "m"}
        chats = [{"id": "c", "user_id": "u", "chat": {"history": {"messages": {"m": message}}}}]
        feedback = [{"data": {"rating": 1}, "meta": {"chat_id": "c", "message_id": "m",
                                                     "survey": True}}]  # fmt: skip
        with pytest.warns((DataLossWarning, AssumptionWarning)):
            logs = load_feedback(chats, scores=feedback, asked_name="survey")
        assert logs["asked"].tolist() == [True]


class TestColumns:
    ROWS = (
        {"thumbs": 1, "gold": None, "survey": "true", "judge": 0.5, "label": 0},
        {"thumbs": None, "gold": 0, "survey": True, "judge": "0.25", "label": 1},
        {"thumbs": 0, "gold": "1", "survey": None, "judge": "", "label": 1},
    )

    @pytest.mark.parametrize("format", ["plain", "trl", "chat", "auto"])
    def test_columns_may_have_any_name(self, format):
        turns = {"prompt": "q", "completion": "a"}
        if format == "chat":
            turns = {"messages": [{"role": "user", "content": "q"},
                                  {"role": "assistant", "content": "a"}]}  # fmt: skip
        rows = [{**turns, **row} for row in self.ROWS]
        logs = load_feedback(
            rows,
            format=format,
            feedback_name="thumbs",
            verified_name="gold",
            asked_name="survey",
            judge_score_name="judge",
        )
        assert nan_equal(logs["feedback"], [1, np.nan, 0])
        assert nan_equal(logs["verified"], [np.nan, 0, 1])
        assert logs["asked"].tolist() == [True, True, False]
        assert nan_equal(logs["judge_score"], [0.5, 0.25, np.nan])
        assert logs["label"].tolist() == [0, 1, 1]  # some other label, left alone
        assert not {"thumbs", "gold", "survey", "judge"} & set(logs.columns)
        assert list(rows[0])[-5:] == ["thumbs", "gold", "survey", "judge", "label"]

    def test_their_own_names_may_be_given(self):
        frame = make_feedback_logs(50, n_asked=5, n_verified=5, random_state=0).frame
        named = load_feedback(
            frame, feedback_name="feedback", verified_name="verified", asked_name="asked"
        )
        pd.testing.assert_frame_equal(named, load_feedback(frame))

    @pytest.mark.parametrize(
        ("names", "message"),
        [
            ({"verified_name": "x"}, r"verified_name='x' is not among the columns \["),
            ({"asked_name": "x"}, r"asked_name='x' is not among the columns \["),
            (
                {"verified_name": "gold", "judge_score_name": "gold"},
                "verified_name and judge_score_name are both 'gold'",
            ),
            ({"feedback_name": "thumbs"}, "there is also a column 'feedback'"),
        ],
    )
    def test_names_that_cannot_be_used(self, names, message):
        row = {"prompt": "q", "completion": "a", "feedback": 1, **self.ROWS[0]}
        with pytest.raises(FileFormatError, match=message):
            load_feedback([row], **names)

    @pytest.mark.parametrize("bad", ["maybe", -1, 2, 0.5, [1, 2]])
    def test_asked_is_yes_or_no(self, bad):
        rows = [
            {"prompt": "q", "completion": "a", "feedback": None, "asked": value}
            for value in (True, bad)
        ]
        with pytest.raises(FeedbackError, match="'asked'"):
            load_feedback(rows, labels={bad: 1} if bad == "maybe" else None)

    def test_labels_do_not_turn_the_mark_of_the_asked_round(self):
        rows = [
            {"prompt": "q", "completion": "a", "feedback": value, "asked": value}
            for value in (0, 1, None)
        ]
        logs = load_feedback(rows, labels={0: 1, 1: 0})
        assert nan_equal(logs["feedback"], [1, 0, np.nan])
        assert logs["asked"].tolist() == [False, True, False]

    def test_asked_rows_without_an_answer_stay_asked(self):
        logs = load_feedback([
            {"prompt": "q", "completion": "a", "feedback": None, "asked": 1},
            {"prompt": "q", "completion": "b", "feedback": 1, "asked": 0},
        ])  # fmt: skip
        assert logs["asked"].tolist() == [True, False]
        assert nan_equal(logs["feedback"], [np.nan, 1])
