"""In-process rewards of TRL, verl and OpenRLHF."""

import asyncio
import pickle
import runpy
import threading

import numpy as np
import pytest

from skcausalrm.exceptions import InvalidInputError, ModelDirectoryError
from skcausalrm.serving import (
    _integrations,
    create_app,
    load_model,
    trl_reward,
    trl_reward_async,
    verl_compute_score,
    write_openrlhf_reward_function,
)


def test_trl_reward_takes_strings_and_chats(model):
    reward = trl_reward(model)
    assert reward.__name__ == "skcausalrm_reward"
    plain = reward(prompts=["Hi", "Hi"], completions=["good", ""], completion_ids=[[1], []])
    assert plain == [model.predict([("Hi", "good")])[0], 0.0]
    chat = reward(
        prompts=[[{"role": "user", "content": "Hi"}]],
        completions=[[{"role": "assistant", "content": "good"}]],
    )
    assert chat == plain[:1]
    assert all(type(value) is float for value in plain)


def test_a_path_is_opened_once_and_again_in_every_process(model, monkeypatch):
    opened = []
    monkeypatch.setattr(_integrations, "load_model", lambda path: opened.append(path) or model)
    reward = trl_reward("reward.onnx")
    assert not opened
    copy = pickle.loads(pickle.dumps(reward))
    threads = [threading.Thread(target=reward, args=(["Hi"], ["good"])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert opened == ["reward.onnx"]
    copy(["Hi"], ["good"])
    assert opened == ["reward.onnx"] * 2


def test_verl(model):
    compute_score = pickle.loads(pickle.dumps(verl_compute_score("x", prompt_key="question")))
    compute_score._loaded = model
    expected = model.predict([("Hi", "good")])[0]
    assert compute_score("data", "good", "truth", {"question": "Hi"}) == expected
    prompt = np.array([{"role": "user", "content": "Hi"}], dtype=object)
    found = compute_score(
        data_source="data", solution_str="good", ground_truth=None, extra_info={"question": prompt}
    )
    assert found == expected
    with pytest.raises(InvalidInputError, match=r"'data' has no 'question'"):
        compute_score("data", "good", "truth", {"prompt": "Hi"})


def test_verl_batch_reward_manager(model):
    compute_score = verl_compute_score(model, prompt_key="question")
    found = compute_score(
        data_sources=["data"] * 3,
        solution_strs=["good", "", "other"],
        ground_truths=[None] * 3,
        extra_infos=[{"question": "Hi"}] * 3,
        more=1,
    )
    assert found == [*model.predict([("Hi", "good")]), 0.0, *model.predict([("Hi", "other")])]
    with pytest.raises(InvalidInputError, match="has no 'question'"):
        compute_score(data_sources=["data"], solution_strs=["a"], extra_infos=[None])


def test_rank_refuses_one_text(model):
    with pytest.raises(InvalidInputError, match="one text, but rank compares a list"):
        model.rank("q", "abc")


def test_openrlhf_file(model, tmp_path, monkeypatch):
    monkeypatch.setattr(_integrations, "load_model", lambda path: model)
    file = write_openrlhf_reward_function(tmp_path / 'it\'s "a" model.onnx', tmp_path / "reward.py")
    reward_func = runpy.run_path(str(file))["reward_func"]
    queries = [
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\ngood<|im_end|>\n",
        "Hi there",
    ]
    found = reward_func(queries, ["x", "Hi"], [None, None], more=1)
    expected = model.predict([("Hi", "good"), ("Hi", "there")])
    np.testing.assert_allclose(found["rewards"], expected, atol=1e-7)
    np.testing.assert_allclose(found["scores"], found["rewards"])
    with pytest.raises(ValueError, match=r"must end in \.py"):
        write_openrlhf_reward_function("reward.onnx", tmp_path / "reward.txt")


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(ModelDirectoryError, match="does not exist"):
        load_model(tmp_path / "none.onnx")
    with pytest.raises(ModelDirectoryError):
        load_model(tmp_path)
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(ModelDirectoryError):
        load_model(tmp_path / "text.onnx")


def test_async_reward_asks_again_while_the_server_is_full(model, monkeypatch):
    httpx = pytest.importorskip("httpx")
    app = create_app(model)
    refusals = iter([True, False, False])
    real = httpx.AsyncClient

    class Client(real):
        def __init__(self, **settings):
            super().__init__(transport=httpx.ASGITransport(app), base_url="http://test", **settings)

        async def post(self, url, **body):
            if next(refusals):
                return httpx.Response(503, headers={"Retry-After": "0"})
            return await super().post(url, **body)

    monkeypatch.setattr(httpx, "AsyncClient", Client)
    reward = trl_reward_async("http://test/", token="secret")
    assert asyncio.iscoroutinefunction(reward)

    async def main():
        app.state.engine.start()
        return await reward(["Hi"] * 300, ["good", "", "\ud83d half", *["x"] * 297])

    found = asyncio.run(main())
    expected = model.predict([("Hi", "good"), ("Hi", "\ufffd half"), ("Hi", "x")])
    assert found[:4] == [expected[0], 0.0, *expected[1:]]
    assert len(found) == 300


def test_in_a_grpo_trainer(model, tmp_path):
    trl = pytest.importorskip("trl")
    from datasets import Dataset
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = {word: i for i, word in enumerate(["<pad>", "<eos>", "<unk>", *"abcdefgh"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    policy = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(words),
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=2,
        )
    )
    arguments = trl.GRPOConfig(
        output_dir=str(tmp_path),
        max_steps=2,
        per_device_train_batch_size=4,
        num_generations=4,
        max_completion_length=6,
        report_to="none",
        use_cpu=True,
        save_strategy="no",
        logging_steps=1,
        disable_tqdm=True,
    )
    trainer = trl.GRPOTrainer(
        policy,
        reward_funcs=trl_reward(model),
        args=arguments,
        train_dataset=Dataset.from_dict({"prompt": ["a b", "c d", "e f", "g h"] * 2}),
        processing_class=PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>"
        ),
    )
    trainer.train()
    logged = [entry for entry in trainer.state.log_history if "reward" in entry]
    assert len(logged) == 2
    assert all(0 <= entry["rewards/skcausalrm_reward/mean"] <= 1 for entry in logged)
