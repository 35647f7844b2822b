"""OpenAI-compatible server on loopback that answers from a log: ``openai_stub.py LOG PORT``.

A prompt that was answered several times gets its answers in the log's order.
"""

import itertools
import json
import sys
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    answers: dict

    def reply(self, body, kind="application/json"):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        models = [{"id": "assistant", "object": "model", "owned_by": "stub", "created": 0}]
        self.reply(json.dumps({"object": "list", "data": models}).encode())

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked = [m for m in request["messages"] if m["role"] == "user"][-1]["content"]
        text = next(self.answers[asked]) if asked in self.answers else "A title"
        usage = {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10}
        head = {"id": "chatcmpl-1", "created": 0, "model": request["model"]}
        if not request.get("stream"):
            message = {"role": "assistant", "content": text}
            choice = {"index": 0, "finish_reason": "stop", "message": message}
            body = head | {"object": "chat.completion", "choices": [choice], "usage": usage}
            return self.reply(json.dumps(body).encode())
        delta = {"role": "assistant", "content": text}
        choices = [
            {"index": 0, "delta": delta, "finish_reason": None},
            {"index": 0, "delta": {}, "finish_reason": "stop"},
        ]
        chunks = [head | {"object": "chat.completion.chunk", "choices": [c]} for c in choices]
        lines = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
        return self.reply(f"{lines}data: [DONE]\n\n".encode(), "text/event-stream")

    def log_message(self, *_):
        pass


def main(log, port):
    found = defaultdict(list)
    with open(log) as lines:
        for row in map(json.loads, lines):
            found[row["prompt"]].append(row["completion"])
    Handler.answers = {prompt: itertools.cycle(texts) for prompt, texts in found.items()}
    ThreadingHTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
