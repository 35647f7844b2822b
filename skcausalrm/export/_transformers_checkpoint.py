"""`export_transformers`: encoder and linear reward as one Hugging Face checkpoint."""

import json
import os
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from .._utils._batching import length_sorted_batches
from .._version import __version__
from ..exceptions import UnsupportedExportError
from ..text._backends import TransformersBackend
from ..text._conversation import Conversations, as_conversations
from ..text._encoder import ConversationEncoder, backend_of, text_of
from ..text._parts import parts_of
from ..text._tokens import pad_tokens
from ._layout import new_folder
from ._network import describe, describe_single, last_step
from ._onnx_file import TOLERANCE, check_parity
from ._text_file import default_sample, split_pipeline

_CARD = """---
library_name: transformers
pipeline_tag: text-classification
tags: [reward-model, skcausalrm]
---

A reward model of {encoder}, trained on user feedback with skcausalrm {version} (method `{method}`).

```python
from transformers import AutoModelForSequenceClassification, AutoTokenizer

model = AutoModelForSequenceClassification.from_pretrained(path, num_labels=1)
tokenizer = AutoTokenizer.from_pretrained(path)
```

The only logit is the score of `decision_function`{offset}. It ranks answers and is not a
probability. Text is {prompt} and the answer, {form}.
The encoder read at most {max_length} tokens in training: {longer}.
"""
_TEMPLATE_FORM = "rendered by the tokenizer's chat template, without further special tokens"
_PLAIN_FORM = "an empty line between them, with the tokenizer's special tokens"
_PROMPTS = {
    "pair": "the prompt",
    "last_turn": "the prompt's last turn",
    "answer": "an empty prompt",
}
_LONGER = {
    "answer_first": "of longer texts the answer, and as much of the end of the prompt as fits",
    "cut": "of longer texts the end with last-token pooling, else the beginning",
}


def export_transformers(
    fitted: Any,
    encoder: ConversationEncoder | None,
    path: str | os.PathLike,
    *,
    sample: Any = None,
    overwrite: bool = False,
) -> Path:
    """Write a checkpoint that ``AutoModelForSequenceClassification`` loads without this package.

    TRL takes it as ``reward_funcs=path``, RewardBench evaluates it and vLLM serves it. Affine
    steps before the reward (scaling, PCA) are folded into its weights. Only architectures that
    reproduce the fitted reward are written.

    Parameters
    ----------
    fitted : CausalRewardRegressor, CausalRewardClassifier, or a Pipeline that ends with one
        Fitted reward with a linear head: a ridge, or the selection model's own, of which the one
        sigmoid nearest to its mixture is written (see ``single`` of :func:`to_onnx`). A Pipeline
        may begin with the encoder.
    encoder : ConversationEncoder or None
        Bare transformer (pooling "last", "cls" or "mean") whose classification head can be made
        linear; see Notes. None if the Pipeline begins with it.
    path : path-like
        Folder to write. The write is atomic.
    sample : text rows, default=None
        Rows on which logits are compared; None uses 200 that the package generates.
    overwrite : bool, default=False
        Whether to replace a checkpoint at `path`.

    Returns
    -------
    path : pathlib.Path
        The written folder.

    Raises
    ------
    UnsupportedExportError
        If the head is not linear, a step is not affine, or the architecture pools otherwise.
    ExportParityError
        If a logit of the written checkpoint differs by more than 1e-5 (relative to the largest
        if that exceeds 1; for the selection model its sigmoid is compared). No folder is written
        then.
    FileExistsError
        If `path` exists and may not be replaced.
    MissingExtraError
        If torch or transformers is not installed.

    Notes
    -----
    Last-token decoders (Llama, Qwen, Mistral, GPT-2 and so on) have one linear layer without a
    bias. Their logit lacks a constant, "skcausalrm_offset" in the checkpoint's config, which does
    not change the order. Encoders with a hidden layer (DistilBERT, ELECTRA and DeBERTa-v2 pooled
    by "cls", EuroBERT by "mean") get two units w and -w, because relu(z) - relu(-z) = z and,
    because gelu(z) = z Phi(z), gelu(z) - gelu(-z) = z. A tanh (BERT, RoBERTa, MPNet) has no such
    identity.

    Examples
    --------
    >>> from skcausalrm.export import export_transformers
    >>> export_transformers(model, encoder, "reward-model")            # doctest: +SKIP
    """
    path = Path(path)
    _check_place(path, overwrite)
    fitted, encoder = split_pipeline(fitted, encoder)
    backend: Any = backend_of(encoder)
    _check_reading(encoder, backend)
    weight, bias, method, logistic = _linear(fitted)
    model, offset = _with_head(backend, encoder.normalize, weight, bias)
    model.config.skcausalrm_offset = offset
    rows = default_sample() if sample is None else sample
    expected = encoder.transform(rows).astype(np.float64) @ weight + bias - offset
    tokenizer = deepcopy(backend.tokenizer)
    tokenizer.padding_side = "right"
    with new_folder(path) as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        card = _CARD.format(
            encoder=backend.settings.source.name,
            version=__version__,
            method=method,
            offset=f", less {offset:.6g}" if offset else "",
            form=_TEMPLATE_FORM if backend.uses_template else _PLAIN_FORM,
            prompt=_PROMPTS[text_of(encoder)],
            max_length=backend.max_length,
            longer=_LONGER[encoder.long_texts],
        )
        (folder / "README.md").write_text(card)
        found = _logits(backend, folder, as_conversations(rows), encoder)
        if logistic:  # rounding in float32 grows with the slopes; it matters in the reward only
            found, expected = expit(found + offset), expit(expected + offset)
        check_parity(
            "reward",
            found,
            expected,
            f"{len(found)} texts",
            tolerance=TOLERANCE,
            cure="its architecture has another pooling or activation; export with text_to_onnx",
        )
    return path


def _check_place(path: Path, overwrite: bool) -> None:
    if not path.exists():
        return
    try:
        ours = "skcausalrm_offset" in json.loads((path / "config.json").read_bytes())
    except (OSError, ValueError):
        ours = False
    if not (ours and overwrite):
        cure = "pass overwrite=True or choose" if ours else "skcausalrm did not write it, so choose"
        raise FileExistsError(f"{path} exists; {cure} another path.")


def _linear(fitted: Any) -> tuple[NDArray[np.float64], float, str, bool]:
    """Return weights and constant of ``decision_function``, method, and True if it is a logit."""
    network = describe(fitted, any_head=True)
    reward, before = last_step(fitted), network.before
    if network.head == "mixture":
        network = describe_single(reward)[1]
    if len(network.weights) != 1:
        raise UnsupportedExportError(
            f"A checkpoint holds a linear head and this head is {network.head!r}: leave estimator "
            f"out, or export with text_to_onnx."
        )
    weight, bias = network.weights[0][:, 0], float(network.biases[0][0]) - network.threshold
    if before is not None:
        scale, shift = _affine(before)
        weight, bias = scale @ weight, float(shift @ weight) + bias
    return weight, bias, str(reward.method_), network.link == "logistic"


def _affine(steps: Any) -> tuple[NDArray, NDArray]:
    """Return the matrix (d, k) and shift (k,) of fitted steps, found from their outputs."""
    d = int(steps.n_features_in_)
    shift = np.asarray(steps.transform(np.zeros((1, d))), dtype=np.float64)[0]
    scale = np.asarray(steps.transform(np.eye(d)), dtype=np.float64) - shift
    X = np.random.default_rng(0).standard_normal((8, d)) * np.array([[0.1], [3.0]] * 4)
    found, expected = np.asarray(steps.transform(X)), X @ scale + shift
    if not np.allclose(found, expected, rtol=1e-6, atol=1e-6 * max(1.0, np.abs(expected).max())):
        names = ", ".join(type(step).__name__ for _, step in steps.steps)
        raise UnsupportedExportError(
            f"The steps before the reward ({names}) are not affine, so they cannot be folded into "
            f"a checkpoint: leave out those that are not, or export with text_to_onnx."
        )
    return scale, shift


def _with_head(backend: Any, normalize: bool, weight: NDArray, bias: float) -> tuple[Any, float]:
    """Return the encoder's classification model with the reward as head, and its logit's offset."""
    import torch
    from transformers import AutoModelForSequenceClassification

    if normalize:
        raise UnsupportedExportError(
            "normalize=True divides by a norm, which a checkpoint cannot: train without it, or "
            "export with text_to_onnx."
        )
    config = deepcopy(backend.config)
    config.num_labels = 1
    config.problem_type = "regression"
    if backend.pooling == "mean":
        config.classifier_pooling = "mean"
    if config.pad_token_id is None and backend.tokenizer.pad_token_id is None:
        backend.tokenizer.pad_token = backend.tokenizer.eos_token
    if config.pad_token_id is None:
        config.pad_token_id = backend.tokenizer.pad_token_id
    try:
        model = AutoModelForSequenceClassification.from_config(config, dtype=torch.float32).eval()
    except ValueError as error:
        raise UnsupportedExportError(
            f"transformers has no sequence classification for {config.model_type!r}: export with "
            f"text_to_onnx."
        ) from error
    base = getattr(model, model.base_model_prefix)
    missing, _ = base.load_state_dict(backend.model.state_dict(), strict=False)
    layers = _layers(model)
    if layers is None or missing or (layers[0] is None) is not (backend.pooling == "last"):
        raise UnsupportedExportError(
            f"The classification head of {config.model_type!r} cannot be made the linear reward on "
            f"pooling={backend.pooling!r}: use a last-token decoder, or DistilBERT, ELECTRA or "
            f"DeBERTa-v2 with pooling='cls', or export with text_to_onnx."
        )
    hidden, output = layers
    w = torch.from_numpy(weight).float()
    with torch.no_grad():
        output.weight.zero_()
        if hidden is None:
            output.weight[0] = w
            if output.bias is None:
                return model, bias
        else:
            hidden.weight.zero_()
            hidden.bias.zero_()
            hidden.weight[0], hidden.weight[1] = w, -w
            output.weight[0, 0], output.weight[0, 1] = 1.0, -1.0
        output.bias[0] = bias
    return model, 0.0


def _layers(model: Any) -> tuple[Any, Any] | None:
    """Return the hidden layer (None if there is none) and output layer of a known head, or None."""
    if hasattr(model, "score"):  # decoders
        return None, model.score
    if hasattr(model, "pre_classifier"):  # DistilBERT
        return model.pre_classifier, model.classifier
    classifier: Any = getattr(model, "classifier", None)
    if hasattr(classifier, "out_proj") and hasattr(classifier, "dense"):  # ELECTRA
        return classifier.dense, classifier.out_proj
    if hasattr(getattr(model, "pooler", None), "dense"):  # DeBERTa-v2
        return model.pooler.dense, classifier
    if hasattr(model, "dense") and classifier is not None:  # EuroBERT
        return model.dense, classifier
    return None


def _check_reading(encoder: ConversationEncoder, backend: Any) -> None:
    if not isinstance(backend, TransformersBackend):
        raise UnsupportedExportError(
            f"{backend.settings.source.name!r} is read through sentence-transformers' own modules, "
            f"which a checkpoint cannot hold: train on pooling='cls' or 'last', or export with "
            f"text_to_onnx."
        )
    text = text_of(encoder)
    if text == "apart" or encoder.long_texts == "windows":
        raise UnsupportedExportError(
            f"The encoder reads several texts of a row (text={text!r}, "
            f"long_texts={encoder.long_texts!r}), and a checkpoint reads one: train with "
            f"ConversationEncoder(text='last_turn') or text='pair', and without windows."
        )


def _logits(
    backend: Any, folder: Path, rows: Conversations, encoder: ConversationEncoder
) -> NDArray[np.float64]:
    """Return the logits of the checkpoint, loaded without this package."""
    import torch
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=1, dtype=torch.float32
    ).eval()
    passages = [passage.valid() for passage in backend.render(parts_of(rows, text_of(encoder)))]
    tokens = backend.tokenize(passages, encoder.long_texts)
    found = np.empty(len(passages))
    with torch.inference_mode():
        for index in length_sorted_batches(tokens.lengths, 16, 2048):
            batch = pad_tokens(tokens, index, model.config.pad_token_id or 0, "cpu")
            found[index] = model(**batch).logits[:, 0].numpy()
    return found
