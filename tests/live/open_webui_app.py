"""Chats with an assistant in Open WebUI: ``open_webui_app.py LOG``, in Open WebUI's environment.

Each answer is completed by the server. Chats and ratings are stored as the web page stores them.
"""

import itertools
import json
import os
import sys
import time
import uuid

import httpx


def message(role, content, parent, **more):
    now = int(time.time())
    facts = {"id": str(uuid.uuid4()), "parentId": parent, "childrenIds": [], "timestamp": now}
    return facts | {"role": role, "content": content} | more


def main(log):
    client = httpx.Client(base_url=os.environ["SERVER"], timeout=60)
    users = [{"Authorization": f"Bearer {token}"} for token in os.environ["TOKENS"].split()]
    model = client.get("/api/models", headers=users[0]).json()["data"][0]["id"]

    def post(user, path, body):
        return client.post(path, json=body, headers=user).raise_for_status().json()

    ratings = 0
    with open(log) as lines:
        rows = [json.loads(line) for line in lines]
    for row, user in zip(rows, itertools.cycle(users)):
        question = message("user", row["prompt"], None, models=[model])
        reply = post(
            user,
            "/api/chat/completions",
            {"model": model, "messages": [{"role": "user", "content": row["prompt"]}]},
        )
        text = reply["choices"][0]["message"]["content"]
        answer = message("assistant", text, question["id"], model=model, done=True)
        question["childrenIds"].append(answer["id"])
        history = {
            "currentId": answer["id"],
            "messages": {question["id"]: question, answer["id"]: answer},
        }
        chat = {"title": row["prompt"][:30], "models": [model], "history": history}
        stored = post(user, "/api/v1/chats/new", {"chat": chat})
        if row["feedback"] is None:
            continue
        ratings += 1
        rating = {"rating": 1 if row["feedback"] else -1, "model_id": model, "reason": None}
        where = {"chat_id": stored["id"], "message_id": answer["id"], "message_index": 1}
        feedback = {"type": "rating", "data": rating, "meta": where | {"model_id": model}}
        post(user, "/api/v1/evaluations/feedback", feedback | {"snapshot": {"chat": stored}})
    print(f"{len(rows)} answers, {ratings} ratings")


if __name__ == "__main__":
    main(*sys.argv[1:])
