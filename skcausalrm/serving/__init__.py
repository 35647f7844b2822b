"""Rewards over HTTP and inside RLHF trainers.

Importing this package imports neither fastapi nor torch; names are resolved on first use.
"""

from .._utils._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "RewardEngine": "._engine",
        "ServerSettings": "._app",
        "TextModel": "._models",
        "create_app": "._app",
        "load_model": "._models",
        "openrlhf_reward": "._integrations",
        "trl_reward": "._integrations",
        "trl_reward_async": "._integrations",
        "verl_compute_score": "._integrations",
        "write_openrlhf_reward_function": "._integrations",
    },
)
