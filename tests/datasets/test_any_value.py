"""Any JSON value in any field loads, is left out and counted, or is a typed error.

``make fuzz`` tries 5,000 examples of each test.
"""

import warnings

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skcausalrm.datasets import load_feedback
from skcausalrm.exceptions import FeedbackError, FileFormatError, InvalidInputError

TYPED = (FeedbackError, FileFormatError, InvalidInputError)
MESSAGES = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system", "tool", "ai", ""])},
    optional={
        "content": st.none() | st.text(max_size=5) | st.lists(st.text(max_size=3), max_size=2)
    },
)
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["1", "-1", "0", "thumbs_up", "[]", "{}", "[1]", '"x"', "2026-01", "\ud800"])
)  # fmt: skip
VALUES = st.recursive(
    SCALARS | MESSAGES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["input", "output", "messages", "role", "content", "text", "args", "x"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)
FIELDS = [
    *("prompt", "completion", "feedback", "verified", "asked", "judge_score", "group", "user"),
    *("conversation", "turn", "model", "timestamp", "comment", "tags", "id", "copied", "latency"),
]
FULL = {
    "prompt": "q", "completion": "a", "feedback": None, "verified": 1, "asked": False,
    "judge_score": 0.5, "group": "g", "user": "u", "conversation": "c", "turn": 1, "model": "m",
    "timestamp": 1_777_885_200, "comment": "c", "tags": ["t"], "id": "i", "copied": True,
    "latency": 0.5,
}  # fmt: skip


def load(rows, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load_feedback(rows, **options)


def check(rows, **options):
    try:
        logs = load(rows, **options)
    except TYPED:
        return
    facts = logs.attrs["load_feedback"]
    n_left_out = sum(entry["count"] for entry in facts["left_out"].values())
    assert len(logs) + n_left_out == len(rows)
    assert logs["feedback"].isin([0, 1]).sum() + logs["feedback"].isna().sum() == len(logs)
    assert logs["completion"].map(bool).all()


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(FIELDS), st.lists(VALUES, min_size=1, max_size=3))
def test_plain_tables(field, values):
    good = [{**FULL, "id": f"g{k}", "group": f"g{k}"} for k in range(3)]
    check([*good, *({**FULL, field: value} for value in values)])


@settings(deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=3))
def test_chats(values):
    chat = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    check([{"messages": value, "feedback": None} for value in (chat, *values)])
