"""Heads: regressions from embeddings to reward, fitted on a target and a weight."""

from __future__ import annotations

from .ridge import RidgeHead

__all__ = ["MLPHead", "RidgeHead"]


def __getattr__(name: str):
    if name == "MLPHead":
        from .mlp import MLPHead

        return MLPHead
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
