"""Rewards over HTTP and inside RLHF trainers.

Importing this package imports neither fastapi nor torch; names are resolved on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "RewardEngine": "engine",
    "ServerSettings": "app",
    "TextModel": "models",
    "create_app": "app",
    "load_model": "models",
    "openrlhf_reward": "plugs",
    "trl_reward": "plugs",
    "trl_reward_async": "plugs",
    "verl_compute_score": "plugs",
    "write_openrlhf_reward_function": "plugs",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
