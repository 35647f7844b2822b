"""`text_to_onnx`: encoder and reward in one ONNX file, with its tokenizer next to it."""

import glob
import json
import os
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from .._utils._atomic_files import write_atomically
from .._utils._extras import import_extra
from .._utils._hashing import hash_bytes
from .._utils._warnings import warn
from ..exceptions import ExportParityError, ExportWarning, UnsupportedExportError
from ..text._backends import Backend, SentenceTransformersBackend
from ..text._conversation import Conversations, as_conversations
from ..text._encoder import ConversationEncoder, backend_of, text_of
from ..text._parts import RowTexts
from ._model_directory import ModelDirectory
from ._onnx_file import TOLERANCE, check_parity, to_onnx
from ._quantization import PRECISIONS, reduce_precision
from ._scorer import RewardScorer
from ._text_graph import encoder_graph, join
from ._text_tokens import TextSettings, TextTokenizer

# Maximum difference of a text's reward between a batch and alone.
_ALONE = 1e-4
# Kendall's tau with the original below which a warning is raised.
_TAU = 0.97
# Texts on which tokenizers are known to disagree.
_HOSTILE = (
    "",
    " \t\n two  spaces\r\n\r\n",
    "ÀÉÎ straße İstanbul ﬁne ½ Ⅻ",
    "e\u0301 \u202eright to left\u202c \u200bzero\u200d width\ufeff",
    "漢字かな交じり文 한국어 ไทย हिन्दी العربية",
    "👩‍👩‍👧‍👦 🏳️‍🌈 \U0001f600\ufe0f",
    "\x00\x07\x1b[31m \ufffd \ufffe \U0010ffff",
    "[CLS] [SEP] <s> </s> <|im_start|>user <pad> [MASK]",
    "a" * 3000,
    "word " * 3000,
)


def text_to_onnx(
    fitted: Any,
    encoder: ConversationEncoder | None,
    path: str | os.PathLike,
    *,
    precision: str = "float32",
    sample: Any = None,
    single: bool = False,
    pessimism: float | None = None,
) -> Path:
    """Write encoder and reward to one ONNX file that scores text.

    :class:`RewardScorer` scores rows of text with it and needs only numpy, onnxruntime and
    tokenizers. The graph takes "input_ids" and "attention_mask", (N, L) int64. It returns the
    outputs of :func:`to_onnx` and "sentence_embedding" (N, d). If the encoder reads prompt and
    answer apart, the outputs of :func:`to_onnx` depend on a third input, "X" (N, 2 d + 1): the
    embedding of the prompt, that of the answer, and their cosine. The tokenizer is written next to
    the file as NAME.<hash>.tokenizer.json; the ONNX file holds its name and checksum.

    Before the files are kept, three comparisons are made: every token with the encoder's on hostile
    texts and on `sample`; rewards on `sample`; rewards of texts alone with those in a batch.

    Parameters
    ----------
    fitted : CausalRewardRegressor, CausalRewardClassifier, Pipeline or ModelDirectory
        Reward of embeddings. If it is a Pipeline whose first step is a `ConversationEncoder`, that
        step is the encoder, and `encoder` must be None.
    encoder : ConversationEncoder or None
        Encoder of the embeddings, loaded in float32 on the CPU whatever its device and dtype.
    path : path-like
        ONNX file to write. The write is atomic, for the tokenizer too.
    precision : {"float32", "float16", "int8", "int8-weights"}, default="float32"
        Precision of the encoder; the reward is always computed in float64.

        - "float16": weights of half the size. Products stay float32, so the speed is the same.
        - "int8": feed-forward layers as int8 products with one scale per token, the fastest on a
          CPU. Attention stays float32. All other weights are float16.
        - "int8-weights": weights of all layers as int8 in blocks of 32, other weights float16.
          Nearer to the original than "int8".
    sample : text rows, default=None
        A few hundred texts like those to score, in any form that `ConversationEncoder` takes.
        Agreement is measured on them. None uses 200 texts that the package generates.
    single : bool, default=False
        Whether to write the one sigmoid nearest to a mixture, as in :func:`to_onnx`.
    pessimism : float, default=None
        Pessimism of the file's reward, as in :func:`to_onnx`.

    Returns
    -------
    path : pathlib.Path
        The written file. ``RewardScorer.load(path).metadata_["text"]["agreement"]`` holds the
        agreement of its rewards with those of the encoder in float32: Pearson's correlation,
        Kendall's tau, the largest difference, and the largest difference between a text alone and
        in a batch.

    Raises
    ------
    ExportParityError
        If tokens differ, if rewards in float32 differ by more than 1e-5 (relative to the largest
        if that exceeds 1), or if the rest of a batch changes a text's reward by more than 1e-4.
    UnsupportedExportError
        If the encoder renders chats by a template, averages windows (``long_texts="windows"``), has
        a tokenizer of its own, or cannot be traced.
    InvalidInputError
        If `sample` does not hold text rows.
    MissingExtraError
        If onnx, onnxscript, onnxruntime, tokenizers or torch is not installed.
    ValueError
        If `precision` is unknown, not exactly one encoder is given, or `single` or `pessimism` is
        asked of a model directory.

    Warns
    -----
    ExportWarning
        If Kendall's tau with the original is below 0.97, or a threshold is left out because
        `precision` is not "float32".

    Notes
    -----
    onnxruntime's own dynamic int8 is not offered: it has one scale for the activations of a whole
    batch, so a text's reward would depend on the other texts of its batch.

    Examples
    --------
    >>> from skcausalrm.export import RewardScorer, text_to_onnx
    >>> path = text_to_onnx(model, encoder, "reward.onnx", precision="int8")  # doctest: +SKIP
    >>> scorer = RewardScorer.load(path)                                       # doctest: +SKIP
    >>> scorer.rank("What is 2 + 2?", ["Five.", "4."])                         # doctest: +SKIP
    (array([1, 0]), array([0.21, 0.74]))
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision={precision!r} is unknown; use one of {PRECISIONS}.")
    onnx = import_extra("onnx", extra="export", purpose="Exporting an encoder")
    path = Path(path)
    fitted, encoder = split_pipeline(fitted, encoder)
    backend = backend_of(encoder)
    if encoder.long_texts == "windows":
        raise UnsupportedExportError(
            "The encoder's long_texts='windows' averages the windows of a text, which a text file "
            "cannot: train with another long_texts, or export the head alone with to_onnx and "
            "serve the model directory."
        )
    tokenizer, settings = _tokenizer(backend, path, precision)
    settings = replace(settings, text=text_of(encoder), long_texts=encoder.long_texts)
    rows = default_sample() if sample is None else sample
    _check_tokens(backend, TextTokenizer(tokenizer, settings), rows)
    head = onnx.load_from_string(_head(fitted, single, pessimism))
    properties = _properties(head, precision)
    graph = reduce_precision(encoder_graph(backend, encoder.normalize), precision)
    model = join(graph, head, apart=settings.apart)

    def content(settings: TextSettings) -> bytes:
        properties["text"] = json.dumps(asdict(settings))
        if isinstance(fitted, ModelDirectory):
            properties["reward_reference"] = json.dumps(fitted.reward_reference)
        onnx.helper.set_model_props(model, properties)
        return model.SerializeToString()

    scorer = RewardScorer(content(settings), tokenizer=tokenizer)
    expected = RewardScorer(head.SerializeToString()).predict(encoder.transform(rows))
    agreement = _agreement(scorer, expected, as_conversations(rows), precision)
    settings = replace(settings, agreement=agreement)
    # The tokenizer's name holds its hash: until the model is in place, the old pair is whole.
    write_atomically(path.with_name(settings.tokenizer_file), tokenizer)
    write_atomically(path, content(settings))
    for other in path.parent.glob(f"{glob.escape(path.stem)}.????????.tokenizer.json"):
        if other.name != settings.tokenizer_file:
            other.unlink()
    return path


def split_pipeline(fitted: Any, encoder: ConversationEncoder | None) -> tuple[Any, Any]:
    """Return the reward of embeddings, and its encoder in float32 on the CPU."""
    first = fitted.steps[0][1] if isinstance(fitted, Pipeline) else None
    inside = first if isinstance(first, ConversationEncoder) else None
    if (inside is None) is (encoder is None):
        raise ValueError(
            "Exactly one encoder is needed: pass it as encoder, or as first step of a Pipeline."
        )
    if inside is not None:
        fitted = fitted[1:] if len(fitted) > 2 else fitted[1]
    encoder = clone(encoder or inside)
    return fitted, encoder.set_params(device="cpu", dtype="float32", show_progress=False)


def _head(fitted: Any, single: bool, pessimism: float | None) -> bytes:
    if isinstance(fitted, ModelDirectory):
        if single or pessimism is not None:
            raise ValueError(
                "single and pessimism need the fitted estimator, which a model directory does not "
                "hold: pass that, or save the directory with its pessimism."
            )
        return fitted.onnx
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "head.onnx"
        return to_onnx(fitted, path, single=single, pessimism=pessimism).read_bytes()


def _properties(head: Any, precision: str) -> dict[str, str]:
    """Return a head's metadata, without a threshold that its rewards in `precision` are not for."""
    properties = {entry.key: entry.value for entry in head.metadata_props}
    if precision != "float32" and json.loads(properties.get("acceptance", "null")) is not None:
        properties["acceptance"] = "null"
        warn(
            f"The threshold of this model is left out: it was certified for rewards in float32, "
            f"and those in {precision} differ; pass this file to threshold_for and its result to "
            f"keep_threshold.",
            ExportWarning,
            "threshold-left-out",
        )
    return properties


def _tokenizer(backend: Any, path: Path, precision: str) -> tuple[bytes, TextSettings]:
    """Return the tokenizer's file and the settings known before rewards are compared."""
    name = backend.settings.source.name
    if isinstance(backend, SentenceTransformersBackend):
        tokenizer: Any = getattr(backend.model, "tokenizer", None)
        prefix = backend.model.prompts.get(backend.model.default_prompt_name) or ""
        max_length = backend.model.max_seq_length
        cure = "train on a transformer"
    else:
        tokenizer, prefix, max_length = backend.tokenizer, "", backend.max_length
        cure = "export the head alone with to_onnx"
        if backend.uses_template:
            raise UnsupportedExportError(
                f"The encoder {name!r} reads chats through a template, which a text file cannot "
                f"render: {cure}, and serve the model directory."
            )
    if not getattr(tokenizer, "is_fast", False):
        raise UnsupportedExportError(
            f"The encoder {name!r} has no tokenizer of the tokenizers package: {cure}."
        )
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    content["truncation"] = content["padding"] = None
    data = json.dumps(content, ensure_ascii=False).encode()
    digest = hash_bytes(data)
    return data, TextSettings(
        tokenizer_file=f"{path.stem}.{digest[:8]}.tokenizer.json",
        tokenizer_sha256=digest,
        encoder=name,
        precision=precision,
        prefix=prefix,
        max_length=int(max_length),
        truncation_side=tokenizer.truncation_side,
        pad_id=int(tokenizer.pad_token_id or 0),
        agreement={},
    )


def _check_tokens(backend: Backend, tokenizer: TextTokenizer, rows: Any) -> None:
    hostile = [text for text in _HOSTILE if text.strip()]  # no tokens of white space alone
    pairs = Conversations([*([""] * len(hostile)), *hostile], [*hostile, *reversed(hostile)])
    settings = tokenizer.settings
    passages = [
        passage
        for some in (as_conversations(rows), pairs)
        for passage in RowTexts(some, settings.text, Conversations.passages).passages
    ]
    expected = backend.tokenize(passages, settings.long_texts)
    found = tokenizer.tokenize([passage.after(settings.prefix) for passage in passages])
    types = expected.columns.get("token_type_ids", [])
    ids = (found.columns["input_ids"], expected.columns["input_ids"])
    for (text, *_), ours, theirs in zip(passages, *ids, strict=True):
        if not np.array_equal(ours, theirs):
            raise ExportParityError(
                f"The exported tokenizer makes {len(ours)} tokens of {text[:40]!r} and the "
                f"encoder {len(theirs)}, and they differ, so no file was written; please report "
                f"this with the versions in use."
            )
    if any(np.any(row) for row in types):
        raise UnsupportedExportError(
            f"The encoder {tokenizer.settings.encoder!r} marks segments of a text, which a text "
            f"file cannot: export the head alone with to_onnx."
        )


def _agreement(scorer: RewardScorer, expected: np.ndarray, rows, precision: str) -> dict:
    """Return how well rewards agree, and raise if they may not differ by so much."""
    from scipy.stats import kendalltau, pearsonr

    pairs = list(zip(rows.prompts, rows.completions, strict=True))
    found = scorer.predict(pairs)
    tolerance = TOLERANCE if precision == "float32" else np.inf
    difference = check_parity("reward", found, expected, f"{len(pairs)} texts", tolerance=tolerance)
    few = slice(None, None, max(1, len(pairs) // 64))
    alone_difference = check_parity(
        f"reward of a text alone in {precision}",
        np.concatenate([scorer.predict([pair]) for pair in pairs[few]]),
        found[few],
        "texts of a batch",
        tolerance=_ALONE,
        cure="choose another precision",
    )
    varied = len(pairs) > 1 and np.ptp(expected) > 0 and np.ptp(found) > 0
    tau = float(kendalltau(found, expected)[0]) if varied else None
    if tau is not None and tau < _TAU:
        warn(
            f"In {precision} the rewards of {len(pairs)} texts agree in order with the original's "
            f"only up to a Kendall's tau of {tau:.3f}: choose a higher precision if close rewards "
            f"matter.",
            ExportWarning,
            "lossy",
        )
    return {
        "texts": len(pairs),
        "pearson": float(pearsonr(found, expected)[0]) if varied else None,
        "kendall_tau": tau,
        "largest_difference": difference,
        "alone_difference": alone_difference,
    }


def default_sample():
    """Return the texts on which agreement is measured if the user gives none."""
    from ..datasets import make_feedback_logs

    return make_feedback_logs(200, random_state=0).frame
