"""Tune a policy with TRL: naive against corrected reward
======================================================

::

    python examples/rlhf_with_trl.py            # four to ten minutes, two cores
    python examples/rlhf_with_trl.py --quick

A tiny language model, trained from scratch to talk like the assistant of a generated log, is tuned
against rewards that were fitted to another such log. People rate rude, off-topic and long answers
most. Since the generator knows what makes an answer good, the true reward of new generations is
known too. `--quick` only shows that everything runs. Needs skcausalrm[bundled,trl]; no download.
"""

import argparse
import logging
import os
import tempfile
import time
import warnings
from functools import cache

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch
from datasets import Dataset, disable_progress_bars
from scipy.special import expit, logit
from sklearn.pipeline import Pipeline
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, PrinterCallback
from transformers.utils import logging as transformers_logging
from trl import GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer

from skcausalrm import CausalRewardRegressor, ConversationEncoder
from skcausalrm.datasets import _logs as generator  # the truth, which no user has
from skcausalrm.datasets import make_feedback_logs
from skcausalrm.serving import trl_reward

N_TOKENS = 64  # of an answer at most
TEMPLATE = (
    "{% for m in messages %}{{ m.content }}{{ '<sep>' if m.role == 'user' else '<eos>' }}"
    "{% endfor %}"
)


class Truth:
    """The generator's reward of an answer, whoever wrote it.

    An answer is taken apart by the generator's own rules; one that it could not have given counts
    as off topic.
    """

    def __init__(self, logs):
        rng = np.random.default_rng(0)
        self.tasks, self.sentences = {}, {}
        for kind, draw in generator.TASKS.items():
            tasks = [draw(rng) for _ in range(3000)]
            self.tasks.update({task.prompt: (kind, task) for task in tasks})
            self.sentences[kind] = {text for task in tasks for text in (task.right, task.wrong)}
        self.intercept = 0.0
        known = logit(logs.probability)
        found = logit(self(logs.frame["prompt"], logs.frame["completion"]))
        self.intercept = np.mean(known - found)
        self.r2 = 1 - np.var(known - found) / np.var(known)

    def __call__(self, prompts, answers) -> np.ndarray:
        """P(good) of each answer."""
        logits = [self._logit(*pair) for pair in zip(prompts, answers, strict=True)]
        return expit(np.array(logits) + self.intercept)

    def _logit(self, prompt: str, answer: str) -> float:
        harm = {manner: values[1] for manner, values in generator.MANNERS.items()}
        topic = self.tasks[prompt][0]
        if answer in {text.format(topic=topic) for text in generator._REFUSALS}:
            return harm["refusal"]
        total = 0.0
        for frame in generator._INSULTS:
            before, after = frame.split("{}")
            if answer.startswith(before) and answer.endswith(after):
                answer = answer[len(before) : -len(after)]
                total += harm["rude"]
        for openings, effect in (
            (generator._OPENERS, generator._WARM),
            (generator._HEDGES, harm["hedged"]),
        ):
            opening = next((text for text in openings if answer.startswith(text)), "")
            answer = answer.removeprefix(opening)
            total += effect * bool(opening)
        rest = self._rest(prompt).get(answer)
        return harm["off-topic"] if rest is None else total + rest

    @cache  # noqa: B019
    def _rest(self, prompt: str) -> dict[str, float]:
        """All that can follow an opening, and its logit."""
        kind, task = self.tasks[prompt]
        harm = {manner: values[1] for manner, values in generator.MANNERS.items()}
        found: dict[str, float] = {}
        for answer in [task.right, *(self.sentences[kind] - {task.right})]:
            for intro in ("", *generator._EXAMPLES):
                text = f"{answer} {intro}{task.example}" if intro else answer
                words = text.split()
                cut = " ".join(words[: max(2, len(words) // 2)])
                value = generator._CORRECT * (1 if answer == task.right else -1)
                value += generator._EXAMPLE * bool(intro)
                again = f"{text} As I said: {answer} Again, as I said: {answer}"
                found.setdefault(text, value)
                found.setdefault(f"{cut}... [output cut off]", value + harm["truncated"])
                found.setdefault(again, value + harm["repetitive"])
        return found


def make_logs(n: int, seed: int, n_verified: int = 0):
    """A log without prompts that hold numbers: so small a model cannot calculate."""
    logs = make_feedback_logs(
        n, selection="x", selection_strength=0.3, n_verified=n_verified, random_state=seed
    )
    kept = ~logs.frame["prompt"].str.contains(r"\d").to_numpy()
    logs.frame, logs.probability = logs.frame[kept], logs.probability[kept]
    return logs


def make_tokenizer(texts) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<pad>", "<eos>", "<sep>"]
    tokenizer.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=2000, special_tokens=special, show_progress=False)
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="<eos>",
        additional_special_tokens=["<sep>"],
        chat_template=TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def settings(folder: str, **more) -> dict:
    quiet = {"report_to": "none", "save_strategy": "no", "disable_tqdm": True}
    return {"output_dir": folder, "use_cpu": True, "logging_strategy": "no", **quiet, **more}


def as_chats(prompts) -> list:
    return [[{"role": "user", "content": prompt}] for prompt in prompts]


def new_policy(tokenizer) -> LlamaForCausalLM:
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=128,
            intermediate_size=384,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=256,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            tie_word_embeddings=True,
        )
    )


def copied(policy, tokenizer) -> LlamaForCausalLM:
    """A copy free of what trainers patch: a deep copy would still call the model it is of."""
    copy = new_policy(tokenizer)
    copy.load_state_dict(policy.state_dict())
    return copy


def train_policy(frame, tokenizer, folder: str, steps: int) -> LlamaForCausalLM:
    """A language model that answers as the log does, good and bad."""
    torch.manual_seed(0)
    policy = new_policy(tokenizer)
    answers = [[{"role": "assistant", "content": text}] for text in frame["completion"]]
    trainer = SFTTrainer(
        policy,
        args=SFTConfig(
            **settings(folder, max_steps=steps, per_device_train_batch_size=32),
            learning_rate=3e-3,
            lr_scheduler_type="cosine",
            warmup_steps=steps // 10,
            max_length=128,
            bf16=False,
            gradient_checkpointing=False,
            dataset_num_proc=None,
        ),
        train_dataset=Dataset.from_dict(
            {"prompt": as_chats(frame["prompt"]), "completion": answers}
        ),
        processing_class=tokenizer,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return copied(policy, tokenizer)


def tune(policy, tokenizer, reward, prompts, folder: str, steps: int, batch: int, seed: int):
    """A copy of the policy after GRPO against `reward`."""
    tuned = copied(policy, tokenizer)
    trainer = GRPOTrainer(
        tuned,
        reward_funcs=reward,
        args=GRPOConfig(
            **settings(folder, max_steps=steps, per_device_train_batch_size=batch, seed=seed),
            num_generations=8,
            max_completion_length=N_TOKENS,
            learning_rate=1e-4,  # more, and the policy learns what fools the reward
            lr_scheduler_type="constant",
            bf16=False,
            gradient_checkpointing=False,
        ),
        train_dataset=Dataset.from_dict({"prompt": as_chats(prompts)}),
        processing_class=tokenizer,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return copied(tuned, tokenizer)


@torch.no_grad()
def answer(policy, tokenizer, prompts, seed: int) -> list[str]:
    torch.manual_seed(seed)
    policy.eval()
    found = []
    for start in range(0, len(prompts), 128):
        batch = tokenizer(
            [f"{prompt}<sep>" for prompt in prompts[start : start + 128]],
            return_tensors="pt",
            padding=True,
            padding_side="left",
            return_token_type_ids=False,
        )
        output = policy.generate(**batch, do_sample=True, top_k=0, max_new_tokens=N_TOKENS)
        found += tokenizer.batch_decode(
            output[:, batch["input_ids"].shape[1] :], skip_special_tokens=True
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a smoke test: figures mean nothing")
    quick = parser.parse_args().quick
    n, sft_steps, grpo_steps, seeds = (150, 2, 1, [0]) if quick else (3000, 400, 20, [0, 1, 2])
    batch = 16 if quick else 64
    logging.disable(logging.INFO)
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    disable_progress_bars()
    warnings.filterwarnings("ignore", module=r"(trl|transformers|torch|accelerate)\b")

    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        earlier = make_logs(n, 100)
        truth = Truth(earlier)
        print(f"the truth, read off the text: R2 {truth.r2:.3f} of the generator's own logit")
        frame = earlier.frame
        tokenizer = make_tokenizer([*frame["prompt"], *frame["completion"]])
        policy = train_policy(frame, tokenizer, folder, sft_steps)
        print(f"policy trained after {time.perf_counter() - start:.0f} s")

        questions = frame["prompt"].drop_duplicates().tolist()
        encoder = ConversationEncoder()
        results = []
        for seed in seeds:
            logs = make_logs(n, seed, n_verified=50)
            X = encoder.fit_transform(logs.frame)
            row = [truth(questions, answer(policy, tokenizer, questions, seed)).mean()]
            for method in ("naive", "selection"):
                knowledge = {} if method == "naive" else {"verified": logs.frame["verified"]}
                model = CausalRewardRegressor(method, random_state=seed)
                model.fit(X, logs.frame["feedback"], groups=logs.frame["group"], **knowledge)
                reward = trl_reward(Pipeline([("encoder", encoder), ("reward", model)]))
                tuned = tune(policy, tokenizer, reward, questions, folder, grpo_steps, batch, seed)
                answers = answer(tuned, tokenizer, questions, seed)
                row.append(truth(questions, answers).mean())
                print(
                    f"seed {seed}  {method:<6} true reward {row[0]:.3f} -> {row[-1]:.3f}  "
                    f"({time.perf_counter() - start:.0f} s)  e.g. {answers[0]!r}"
                )
            results.append(row)
    results = np.array(results)
    print(f"\ntrue reward of {len(questions)} generations, {len(seeds)} seeds")
    for name, column in zip(("before", "naive", "corrected"), results.T, strict=True):
        print(f"{name:<10} {column.mean():.3f} ± {column.std():.3f}")
    gain = results[:, 2] - results[:, 1]
    print(f"corrected above naive by {gain.mean():+.3f} (by seed: {np.round(gain, 3).tolist()})")


if __name__ == "__main__":
    main()
