"""Fitted rewards as files: ONNX, the model directory, and the scorer that reads them.

Scoring needs numpy and onnxruntime alone; importing this package imports neither torch nor
scikit-learn.
"""

from .model_directory import ModelDirectory, load_model_directory, save_model_directory
from .onnx_file import to_onnx
from .scorer import RewardScorer

__all__ = [
    "ModelDirectory",
    "RewardScorer",
    "load_model_directory",
    "save_model_directory",
    "to_onnx",
]
