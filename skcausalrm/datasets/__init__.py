"""Feedback logs: simulated with known truth, or loaded from the exports of common tools."""

from .._utils._lazy import lazy_names

# Reading logs, which is all that `skcausalrm label` does, needs no scikit-learn.
__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "find_signals": "._signals",
        "load_feedback": "._loader",
        "make_feedback_logs": "._logs",
        "make_observational_feedback": "._embeddings",
        "pull_feedback": "._pull",
        "simulate_feedback": "._mechanism",
    },
)
