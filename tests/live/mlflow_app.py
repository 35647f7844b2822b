"""A traced assistant with MLflow: ``mlflow_app.py LOG``, in MLflow's environment.

Each answer is a function over a model call. Users rate traces, a colleague judges some, and a
model judges all.
"""

import json
import os
import sys

import mlflow
from mlflow.entities import AssessmentSource
from openai import OpenAI

SOURCES = {
    "user_feedback": AssessmentSource("HUMAN", "a-user"),
    "correct": AssessmentSource("HUMAN", "a-colleague"),
    "relevance": AssessmentSource("LLM_JUDGE", "openai:/judge"),
}


def main(log):
    mlflow.set_experiment("assistant")
    mlflow.openai.autolog()
    model = OpenAI(base_url=os.environ["OPENAI"], api_key="none")

    @mlflow.trace(span_type="CHAIN")
    def chat(question, name, session, user):
        mlflow.update_current_trace(
            metadata={"mlflow.trace.session": session, "mlflow.trace.user": user}
        )
        answer = model.chat.completions.create(
            model=name, messages=[{"role": "user", "content": question}]
        )
        return answer.choices[0].message.content

    count = 0
    with open(log) as lines:
        rows = [json.loads(line) for line in lines]
    for number, row in enumerate(rows):
        chat(row["prompt"], row["model"], f"session-{number}", row["user"])
        trace = mlflow.get_last_active_trace_id()
        mlflow.flush_trace_async_logging()
        values = {
            "user_feedback": None if row["feedback"] is None else bool(row["feedback"]),
            "correct": None if row["verified"] is None else bool(row["verified"]),
            "relevance": 0.5,
        }
        for name, value in values.items():
            if value is not None:
                mlflow.log_feedback(trace_id=trace, name=name, value=value, source=SOURCES[name])
                count += 1
    print(f"{len(rows)} answers, {count} assessments")


if __name__ == "__main__":
    main(*sys.argv[1:])
