"""Traces in MLflow's own store of files."""

import pytest

from skcausalrm.datasets import load_feedback, pull_feedback
from skcausalrm.exceptions import InvalidInputError

pytest.importorskip("mlflow", reason="the extra mlflow is not installed")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Five traces; users rated two, a colleague judged one, a model all."""
    import mlflow
    from mlflow.entities import AssessmentSource

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        before = mlflow.get_tracking_uri()
        address = f"file://{tmp_path_factory.mktemp('mlflow')}"
        mlflow.set_tracking_uri(address)
        mlflow.set_experiment("assistant")

        @mlflow.trace
        def chat(question):
            return question.replace("Question", "Answer")

        for number in range(5):
            chat(f"Question {number}")
            mlflow.flush_trace_async_logging()
            trace = mlflow.get_last_active_trace_id()
            for name, kind, value in (
                ("thumb", "HUMAN", number == 2 if number in (2, 4) else None),
                ("correct", "HUMAN", True if number == 1 else None),
                ("relevance", "LLM_JUDGE", 0.25),
            ):
                if value is not None:
                    source = AssessmentSource(kind, "someone")
                    mlflow.log_feedback(trace_id=trace, name=name, value=value, source=source)
        yield address
        mlflow.set_tracking_uri(before)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_traces_come_page_by_page(store, tmp_path, monkeypatch):
    from skcausalrm.datasets._pull import _mlflow

    monkeypatch.setattr(_mlflow, "_TRACES_PER_PAGE", 2)
    lines = []
    out = tmp_path / "logs.parquet"
    options = {"project": "assistant", "feedback_name": "thumb", "verified_name": "correct"}
    logs = pull_feedback("mlflow", out, progress=lines.append, **options)
    assert lines == ["traces: 2", "traces: 4", "traces: 5"]
    logs = logs.sort_values("completion", ignore_index=True)
    assert logs["completion"].tolist() == [f"Answer {number}" for number in range(5)]
    assert logs["feedback"].fillna(-1).tolist() == [-1, -1, 1, -1, 0]
    assert logs["verified"].fillna(-1).tolist() == [-1, 1, -1, -1, -1]
    assert logs["judge_score"].tolist() == [0.25] * 5
    assert len(load_feedback(out)) == 5
    after = pull_feedback(
        "mlflow", tmp_path / "b.parquet", since=logs["timestamp"].iloc[3], **options
    )
    assert sorted(after["completion"]) == ["Answer 3", "Answer 4"]


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_an_unknown_experiment_is_named(store, tmp_path):
    with pytest.raises(InvalidInputError, match="has no experiment 'none'"):
        pull_feedback("mlflow", tmp_path / "a.parquet", project="none")
