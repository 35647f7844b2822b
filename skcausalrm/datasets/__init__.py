"""Feedback logs: simulated with known truth, or loaded from the exports of common tools."""

from ._embeddings import make_observational_feedback
from ._loader import load_feedback
from ._logs import make_feedback_logs
from ._mechanism import simulate_feedback
from ._pull import pull_feedback

__all__ = [
    "load_feedback",
    "make_feedback_logs",
    "make_observational_feedback",
    "pull_feedback",
    "simulate_feedback",
]
