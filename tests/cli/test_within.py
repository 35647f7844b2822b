"""The error of the AUROC within prompts: what shares a user or a conversation."""

import numpy as np
import pandas as pd
import pytest

from skcausalrm.cli._logs import FeedbackLog
from skcausalrm.cli._sources import Sources
from skcausalrm.cli._within import score_within_prompts
from skcausalrm.metrics import debiased_within_roc_auc_score


def test_conversations_stand_in_for_missing_users():
    rng = np.random.default_rng(0)
    prompt, f = np.repeat(np.arange(60), 3), rng.random(180)
    z = (rng.random(180) < f).astype(float)
    talk = prompt // 6  # six prompts to a conversation
    text = pd.DataFrame({"prompt": [f"Prompt {k}" for k in prompt], "completion": "Yes."})
    names = np.array([f"user {k}" for k in rng.integers(0, 9, 180)], dtype=object)
    some = np.where(talk < 4, None, names)
    mixed = np.where(talk < 4, [f"talk {k}" for k in talk], names)
    for users, second in ((None, talk), (names, names), (some, mixed)):
        log = FeedbackLog(text, z, talk, {}, Sources(users=users))
        found = score_within_prompts(log, z, f)
        expected = debiased_within_roc_auc_score(z, f, groups=prompt, users=second, return_std=True)
        assert (found["value"], found["std"]) == pytest.approx(expected)
