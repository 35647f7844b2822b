"""A model that is no network: its reward is plain from the text."""

import threading

import numpy as np
import pytest

from skcausalrm.serving import TextModel
from skcausalrm.text._conversation import as_conversations

pytest.importorskip("fastapi")


def reward_of(text: str) -> float:
    """Between 0 and 1, and another for every text in these tests."""
    return (len(text) % 97 + text.count("good") / 10) / 100


class Spy:
    """Counts batches, and holds them up while `gate` is closed."""

    def __init__(self):
        self.batches: list[int] = []
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, rows):
        self.gate.wait(10)
        texts = as_conversations(rows).texts()
        self.batches.append(len(texts))
        if any("poison" in text for text in texts):
            raise RuntimeError("poisoned")
        return np.array([reward_of(text) for text in texts])


@pytest.fixture
def spy():
    return Spy()


@pytest.fixture
def model(spy):
    def rewards_and_scores(rows):
        rewards = spy(rows)
        return rewards, 10 * rewards - 5

    return TextModel("test-model", rewards_and_scores, {"method": "selection"})
