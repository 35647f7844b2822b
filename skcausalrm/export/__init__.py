"""Fitted rewards as files: ONNX, the model directory, and the scorer that reads them.

Scoring needs numpy and onnxruntime alone (and tokenizers for text); importing this package imports
neither torch nor scikit-learn.
"""

from importlib import import_module
from typing import Any

from .model_directory import ModelDirectory, load_model_directory, save_model_directory
from .onnx_file import to_onnx
from .scorer import RewardScorer

# These need scikit-learn, and torch when they are called.
_HOMES = {"export_transformers": "transformers_checkpoint", "text_to_onnx": "text_file"}

__all__ = [
    "ModelDirectory",
    "RewardScorer",
    "export_transformers",
    "load_model_directory",
    "save_model_directory",
    "text_to_onnx",
    "to_onnx",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
