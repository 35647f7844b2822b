"""What scores text: a text ONNX file, or a model directory with its encoder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..exceptions import ModelDirectoryError
from ..export import RewardScorer, load_model_directory
from ..text._conversation import as_conversations

__all__ = ["TextModel", "load_model"]


class TextModel:
    """A reward of text rows; threads may share one.

    Parameters
    ----------
    name : str
        What it is called in answers.
    predict : callable
        From text rows to rewards, shape (n,).
    facts : dict
        What it is, as JSON can hold it.
    """

    def __init__(self, name: str, predict, facts: dict[str, Any]):
        self.name = name
        self._predict, self._facts = predict, facts

    def predict(self, rows: Any) -> NDArray[np.float64]:
        """Rewards of text rows (see `ConversationEncoder` for their form), shape (n,)."""
        return self._predict(rows)

    def rank(self, prompt: Any, completions: Sequence[Any]) -> tuple[NDArray, NDArray]:
        """Positions of `completions`, the best first, and their rewards as given."""
        rewards = self.predict([(prompt, completion) for completion in completions])
        return np.argsort(-rewards, kind="stable"), rewards

    def info(self) -> dict[str, Any]:
        """Method, encoder, versions and so on."""
        return {"model": self.name, **self._facts}


def load_model(path: str | os.PathLike, *, device: str | None = None) -> TextModel:
    """Open what `text_to_onnx` or `skcausalrm fit` wrote.

    Parameters
    ----------
    path : path-like
        A text ONNX file, which needs numpy, onnxruntime and tokenizers alone, or a model
        directory, whose encoder needs torch.
    device : str, default=None
        Of a text file "cpu" or "cuda" (None: "cpu"); of a directory the encoder's torch device
        (None: CUDA where there is some).

    Returns
    -------
    TextModel

    Raises
    ------
    ModelDirectoryError
        If there is no such model, it is damaged, takes embeddings rather than text, or was fitted
        with another encoder than is there now.
    MissingExtraError
        If a package is not installed.

    Examples
    --------
    >>> from skcausalrm.serving import load_model
    >>> model = load_model("reward.onnx")                             # doctest: +SKIP
    >>> model.rank("What is 2 + 2?", ["Five.", "4."])                 # doctest: +SKIP
    (array([1, 0]), array([0.21, 0.74]))
    """
    path = Path(path)
    if path.is_dir():
        return _from_directory(path, device)
    if not path.exists():
        raise ModelDirectoryError(
            f"{path} does not exist; name a text ONNX file or a model directory."
        )
    scorer = RewardScorer.load(path, device=device or "cpu")
    text = scorer.metadata_["text"]
    if text is None:
        raise ModelDirectoryError(
            f"{path} scores embeddings, not text; export encoder and reward together with "
            f"text_to_onnx (`skcausalrm export --text`), or name the model directory."
        )
    facts = {
        "method": scorer.metadata_["method"],
        "head": scorer.metadata_["head"],
        "encoder": text["encoder"],
        "precision": text["precision"],
        "skcausalrm_version": scorer.metadata_["skcausalrm_version"],
    }
    return TextModel(path.name, scorer.predict, facts)


def _from_directory(path: Path, device: str | None) -> TextModel:
    from ..text._saved import load_encoder

    directory = load_model_directory(path)
    encoder = load_encoder(directory.encoder_settings, path, None)
    encoder.set_params(device=device, show_progress=False)
    scorer = directory.scorer

    def predict(rows: Any) -> NDArray[np.float64]:
        if not len(as_conversations(rows)):
            return np.empty(0)
        return scorer.predict(encoder.transform(rows))

    facts = {
        "method": directory.config["method"],
        "head": scorer.metadata_["head"],
        "encoder": str(encoder.model),
        "precision": encoder.dtype,
        "skcausalrm_version": scorer.metadata_["skcausalrm_version"],
    }
    return TextModel(path.resolve().name, predict, facts)
