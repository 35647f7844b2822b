"""Objects of the SDKs of Langfuse, LangSmith and Opik, and the files that their dumps make."""

import datetime as dt
import json
import uuid

import numpy as np
import pandas as pd
import pytest

from skcausalrm.datasets import load_feedback

pytestmark = pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.SkcausalrmWarning")
NOW = dt.datetime(2026, 5, 4, 9, tzinfo=dt.UTC)
CHAT = [{"role": "user", "content": "q"}]


def write(objects, path, form):
    """Return the objects as a user would pass or save them."""
    if form == "objects":
        return objects
    if form == "generator":
        return iter(objects)
    rows = [one.dict() if form == "dict" else one.model_dump(mode="json") for one in objects]
    if form == "dict":
        return rows
    if form == "csv":
        pd.DataFrame(rows).to_csv(path.with_suffix(".csv"))
        return path.with_suffix(".csv")
    path.with_suffix(".json").write_text(json.dumps(rows))
    return path.with_suffix(".json")


FORMS = pytest.mark.parametrize("form", ["objects", "generator", "dict", "json", "csv"])


def check(logs):
    assert logs["prompt"].tolist() == ["q", "q"]
    assert logs["completion"].tolist() == ["a", "b"]
    assert np.array_equal(logs["feedback"], [0, np.nan], equal_nan=True)
    assert logs["conversation"].tolist() == ["s", "s"]


@FORMS
def test_langfuse(tmp_path, form):
    api = pytest.importorskip("langfuse.api")
    if not hasattr(api, "ObservationV2"):
        pytest.skip("the objects are those of Langfuse's SDK 5")
    fields = {"start_time": NOW, "project_id": "p", "type": "GENERATION", "session_id": "s"}
    calls = [
        api.ObservationV2(
            id=key, trace_id="t" + key, input=json.dumps(CHAT), output=answer, **fields
        )
        for key, answer in (("1", "a"), ("2", json.dumps({"role": "assistant", "content": "b"})))
    ]
    subject = api.ScoreSubjectV3_Trace(id="t1")
    scores = [
        api.ScoreV3_Boolean(
            id="x", value=False, subject=subject, project_id="p", name="thumbs", source="API",
            timestamp=NOW, environment="default", created_at=NOW, updated_at=NOW, metadata={},
        )
    ]  # fmt: skip
    source, given = write(calls, tmp_path / "calls", form), write(scores, tmp_path / "scores", form)
    check(load_feedback(source, scores=given))


@FORMS
def test_langsmith(tmp_path, form):
    schemas = pytest.importorskip("langsmith.schemas")
    ids = [uuid.UUID(int=number) for number in (1, 2)]
    runs = [
        schemas.Run(
            id=key, trace_id=key, name="chat", run_type="chain", start_time=NOW, end_time=NOW,
            inputs={"messages": CHAT}, outputs={"output": answer}, session_id=uuid.UUID(int=3),
            extra={"metadata": {"thread_id": "s"}},
        )
        for key, answer in zip(ids, "ab", strict=True)
    ]  # fmt: skip
    feedback = [
        schemas.Feedback(
            id=uuid.UUID(int=4), run_id=ids[0], trace_id=ids[0], key="thumbs", score=0,
            created_at=NOW, modified_at=NOW, feedback_source=schemas.APIFeedbackSource(),
        )
    ]  # fmt: skip
    source = write(runs, tmp_path / "runs", form)
    check(load_feedback(source, scores=write(feedback, tmp_path / "feedback", form)))


@FORMS
def test_opik(tmp_path, form):
    types = pytest.importorskip("opik.rest_api.types")
    score = types.FeedbackScorePublic(name="thumbs", value=0.0, source="sdk")
    traces = [
        types.TracePublic(
            id=key, start_time=NOW, input={"messages": CHAT}, output={"output": answer},
            thread_id="s", feedback_scores=scores,
        )
        for key, answer, scores in (("1", "a", [score]), ("2", "b", None))
    ]  # fmt: skip
    check(load_feedback(write(traces, tmp_path / "traces", form)))
