"""Text to vectors: :class:`ConversationEncoder` and its cache."""

from __future__ import annotations

from .backends import unload_models
from .cache import EmbeddingCache
from .encoder import ConversationEncoder

__all__ = ["ConversationEncoder", "EmbeddingCache", "unload_models"]
