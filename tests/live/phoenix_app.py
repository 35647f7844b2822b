"""An instrumented assistant with Phoenix: ``phoenix_app.py LOG``, in Phoenix's environment.

Each answer is a chain over a model call. Users rate the chain, a colleague judges some answers.
"""

import json
import os
import sys
import time

from httpx import HTTPStatusError
from openai import OpenAI
from openinference.instrumentation import using_attributes
from openinference.instrumentation.openai import OpenAIInstrumentor
from phoenix.client import Client
from phoenix.otel import register


def main(log):
    server, secret = os.environ["SERVER"], os.environ["SECRET"]
    provider = register(
        endpoint=f"{server}/v1/traces",
        project_name="assistant",
        headers={"authorization": f"Bearer {secret}"},
        batch=True,
        verbose=False,
    )
    OpenAIInstrumentor().instrument(tracer_provider=provider)
    tracer = provider.get_tracer(__name__)
    model = OpenAI(base_url=os.environ["OPENAI"], api_key="none")
    annotations = []

    def note(span_id, name, kind, score):
        annotations.append(
            {
                "span_id": span_id,
                "name": name,
                "annotator_kind": kind,
                "result": {"score": score, "label": "good" if score > 0.5 else "bad"},
            }
        )

    with open(log) as lines:
        rows = [json.loads(line) for line in lines]
    for number, row in enumerate(rows):
        with (
            using_attributes(session_id=f"session-{number}", user_id=row["user"]),
            tracer.start_as_current_span("chat", openinference_span_kind="chain") as span,
        ):
            span.set_input(row["prompt"])
            answer = model.chat.completions.create(
                model=row["model"], messages=[{"role": "user", "content": row["prompt"]}]
            )
            span.set_output(answer.choices[0].message.content)
            span_id = format(span.get_span_context().span_id, "016x")
        if row["feedback"] is not None:
            note(span_id, "user feedback", "HUMAN", row["feedback"])
        if row["verified"] is not None:
            note(span_id, "correct", "HUMAN", row["verified"])
        note(span_id, "relevance", "LLM", 0.5)
    provider.force_flush()
    client = Client(base_url=server, api_key=secret)
    for _ in range(120):  # the server stores spans a little later
        try:
            client.spans.log_span_annotations(span_annotations=annotations, sync=True)
            break
        except HTTPStatusError as error:
            if error.response.status_code != 404:
                raise
            time.sleep(1)
    print(f"{len(rows)} answers, {len(annotations)} annotations")


if __name__ == "__main__":
    main(*sys.argv[1:])
