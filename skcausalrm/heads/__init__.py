"""Heads: regressions from embeddings to reward, fitted on a target and a weight."""

from .._utils._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(__name__, {"MLPHead": "._mlp", "RidgeHead": "._ridge"})
