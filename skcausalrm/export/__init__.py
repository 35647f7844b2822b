"""Fitted rewards as files: ONNX, the model directory, and the scorer that reads them.

Scoring needs only numpy and onnxruntime, for text also tokenizers. Importing this package imports
neither torch nor scikit-learn.
"""

from .._utils._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "ModelDirectory": "._model_directory",
        "RewardScorer": "._scorer",
        "export_transformers": "._transformers_checkpoint",
        "keep_threshold": "._acceptance",
        "load_model_directory": "._model_directory",
        "save_model_directory": "._model_directory",
        "text_to_onnx": "._text_file",
        "to_onnx": "._onnx_file",
    },
)
