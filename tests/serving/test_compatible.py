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


PHI = "<|user|>\n{}<|end|>\n<|assistant|>\n{}<|end|>"
PHI_4 = "<|im_start|>user<|im_sep|>{}<|im_end|><|im_start|>assistant<|im_sep|>{}<|im_end|>"
DEEPSEEK = "<｜begin▁of▁sentence｜><｜User｜>{}<｜Assistant｜>{}<｜end▁of▁sentence｜>"
MISTRAL = "<s>[INST] {} [/INST] {}</s>"


@pytest.mark.parametrize("template", [PHI, PHI_4, DEEPSEEK, MISTRAL])
def test_markup_of_further_families(template):
    assert split_query(template.format("Hi\n\nyou", "Hello!\nBye")) == (
        [{"role": "user", "content": "Hi\n\nyou"}],
        [{"role": "assistant", "content": "Hello!\nBye"}],
    )
    prompt, completion = split_query(template.format("a", "b") + template.format("c", ""))
    assert [turn["content"] for turn in prompt] == ["a", "b", "c"]
    assert completion == [{"role": "assistant", "content": ""}]


@pytest.mark.parametrize(
    "query",
    [
        "<｜begin▁of▁sentence｜>Be brief.<｜User｜>a<｜Assistant｜>b",
        "<s>[SYSTEM_PROMPT]Be brief.[/SYSTEM_PROMPT][INST]a[/INST]b</s>",
    ],
)
def test_system_prompts_outside_of_turns(query):
    prompt, completion = split_query(query)
    assert [(turn["role"], turn["content"]) for turn in prompt] == [
        ("system", "Be brief."),
        ("user", "a"),
    ]
    assert completion[0]["content"] == "b"


@pytest.mark.parametrize("before", ["<pad><pad><s>", "<|endoftext|>" * 3, "[PAD] [CLS] ", "<s> "])
@pytest.mark.parametrize("prompt", ["Q: Hi A:", "<s>Q: Hi A:", "<s> Q: Hi A:"])
def test_padding_before_the_prompt(before, prompt):
    assert split_query(f"{before}Q: Hi A: Hello!</s>", prompt) == ("Q: Hi A:", "Hello!")


@pytest.mark.parametrize("answer", ["", " \n", "</s>", "<|im_end|>", "<pad><pad>"])
def test_an_empty_answer_has_reward_0_on_every_route(client, answer):
    good = "a good answer"
    replies = {
        path: client.post(path, json=body)
        for path, body in {
            "/score": {"rows": [{"prompt": "p", "completion": text} for text in (good, answer)]},
            "/rank": {"prompt": "p", "completions": [answer, good]},
            "/get_reward": {"query": [f"p{good}", f"p{answer}"], "prompts": ["p", "p"]},
            "/classify": {"input": [CHATML.format("p", good), CHATML.format("p", answer)]},
            "/rerank": {"query": "p", "texts": [answer, good]},
        }.items()
    }
    assert {reply.status_code for reply in replies.values()} == {200}
    assert replies["/score"].json()["rewards"][1] == 0
    assert replies["/rank"].json()["order"] == [1, 0]
    assert replies["/rank"].json()["rewards"][0] == 0
    assert replies["/get_reward"].json()["rewards"][1] == 0
    assert replies["/classify"].json()["data"][1]["probs"] == [0]
    assert replies["/rerank"].json()[1] == {"index": 0, "score": 0}
    pairs = client.post("/score", json={"text_1": "p", "text_2": [good, answer]}).json()["data"]
    assert pairs[0]["score"] > 0
    assert pairs[1]["score"] == 0
