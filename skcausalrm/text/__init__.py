"""Encoders of conversations: :class:`ConversationEncoder` and its cache."""

from .._utils._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "ConversationEncoder": "._encoder",
        "EmbeddingCache": "._cache",
        "unload_models": "._backends",
    },
)
