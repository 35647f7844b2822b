"""Requests in the shapes of the clients' own sources (see `skcausalrm.serving._compatible`)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skcausalrm.serving import create_app
from skcausalrm.text._chat_markup import split_query, without_special_tokens

pytest.importorskip("httpx")
from fastapi.testclient import TestClient

CHATML = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n{}<|im_end|>\n"
LLAMA = (
    "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n{}<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n{}<|eot_id|>"
)
GEMMA = "<bos><start_of_turn>user\n{}<end_of_turn>\n<start_of_turn>model\n{}<end_of_turn>\n"


@pytest.fixture
def client(model):
    with TestClient(create_app(model)) as client:
        yield client


def test_openrlhf(client, model):
    # remote_rm_fn: {"query": queries, "prompts": prompts, "labels": labels}, reads "rewards"
    body = {
        "query": [CHATML.format("What is 2 + 2?", "Four, good."), "<s>Q: Hi A: Hello!</s>"],
        "prompts": [CHATML.format("What is 2 + 2?", "")[:-11], "<s>Q: Hi A:"],
        "labels": ["4", None],
        "something_new": 1,
    }
    found = client.post("/get_reward", json=body).json()
    expected = model.predict([("What is 2 + 2?", "Four, good."), ("Q: Hi A:", "Hello!")]).tolist()
    assert found == {
        "rewards": expected,
        "scores": expected,
        "extra_logs": {"reward": expected},
    }


def test_openrlhf_one_query_a_request_and_an_empty_answer(client):
    body = {"query": [CHATML.format("Hi", "")], "prompts": ["x"], "labels": ["y"]}
    assert client.post("/get_reward", json=body).json()["rewards"] == [0.0]


def test_verl(client, model):
    # compute_score_disrm: {"model", "input", "use_activation"}, reads data[-1].probs[-1]
    body = {
        "model": "some/reward-model",
        "input": LLAMA.format("Hi", "A good day"),
        "use_activation": False,
    }
    found = client.post("/classify", json=body).json()
    assert found["data"][-1]["probs"][-1] == model.predict([("Hi", "A good day")])[0]
    assert found["object"] == "list"


@pytest.mark.parametrize("one_prompt", [True, False])
def test_vllm_score(client, model, one_prompt):
    body = {
        "model": "m",
        "text_1": "Hi" if one_prompt else ["Hi", "Hi"],
        "text_2": ["good", "bad and long"],
    }
    found = client.post("/score", json=body).json()
    expected = model.predict([("Hi", "good"), ("Hi", "bad and long")])
    assert [entry["score"] for entry in found["data"]] == expected.tolist()
    assert [entry["index"] for entry in found["data"]] == [0, 1]


def test_text_embeddings_inference(client, model):
    body = {"query": "Hi", "texts": ["a", "good good good", "abc"], "raw_scores": False}
    found = client.post("/rerank", json=body).json()
    rewards = model.predict([("Hi", text) for text in body["texts"]])
    assert [entry["score"] for entry in found] == sorted(rewards, reverse=True)
    assert all(set(entry) == {"index", "score"} for entry in found)
    assert found[0]["index"] == rewards.argmax()
    found = client.post("/rerank", json={**body, "return_text": True}).json()
    assert found[0]["text"] == "good good good"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/get_reward", {"query": []}),
        ("/get_reward", {"query": ["a", "b"], "prompts": ["a"]}),
        ("/get_reward", {"query": [None]}),
        ("/classify", {"input": []}),
        ("/classify", {"input": [1]}),
        ("/rerank", {"query": "a", "texts": []}),
        ("/rerank", {"query": "a", "texts": ["b", ""]}),
        ("/score", {"text_1": ["a", "b"], "text_2": ["c"]}),
        ("/score", {"text_1": "a", "text_2": []}),
    ],
)
def test_bad_input_is_refused_with_a_sentence(client, path, body):
    reply = client.post(path, json=body)
    assert reply.status_code == 422
    assert reply.json()["error"]["message"]


@pytest.mark.parametrize("template", [CHATML, LLAMA, GEMMA])
def test_markup_of_each_family(template):
    assert split_query(template.format("Hi\n\nyou", "Hello!\nBye")) == (
        [{"role": "user", "content": "Hi\n\nyou"}],
        [{"role": "assistant", "content": "Hello!\nBye"}],
    )


def test_turns_before_and_a_cut_answer():
    text = "<|im_start|>system\nBe kind<|im_end|>\n" + CHATML.format("a", "b")
    text += "<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\nd, cut off"
    prompt, completion = split_query(text)
    assert [turn["content"] for turn in prompt] == ["Be kind", "a", "b", "c"]
    assert completion == [{"role": "assistant", "content": "d, cut off"}]


def test_without_markup_or_prompt_all_is_the_answer():
    assert split_query("Just text.</s>[PAD][PAD]") == ("", "Just text.")


@given(st.text(alphabet="ab<>|/[]s \n", max_size=40))
def test_text_without_special_tokens_is_left_alone(text):
    plain = text
    while "<|" in plain or "s>" in plain:  # again, because a removal can make a new one
        plain = plain.replace("<|", "").replace("s>", "")
    assert without_special_tokens(plain) == plain.strip()
