"""RewardScorer: rewards from an exported file with numpy and onnxruntime (and tokenizers) alone."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn, overload

import numpy as np

from .._utils._batching import length_sorted_batches
from .._utils._extras import import_extra
from .._utils._warnings import warn
from ..exceptions import ExportWarning, ModelDirectoryError, UnusedParameterError
from ._linear import LinearReward
from ._text_tokens import TextSettings, TextTokenizer

__all__ = ["RewardScorer", "best_first"]

FORMAT_VERSION = 1
_BATCH_BYTES = 16 * 2**20
_BATCH_ROWS = 2**15  # a mixture has some 80 values per row, however narrow X is
# Texts in a batch, and their tokens with padding: beyond this a CPU's caches overflow.
_BATCH_TEXTS, _BATCH_TOKENS = 32, 2048
_PROVIDERS: dict[str, list] = {
    "cpu": ["CPUExecutionProvider"],
    "cuda": ["CUDAExecutionProvider", "CPUExecutionProvider"],
}


class RewardScorer:
    """Score embeddings with a file of :func:`to_onnx`, or text with one of :func:`text_to_onnx`.

    It imports numpy and onnxruntime, for text tokenizers too, and nothing else: no torch, no
    scikit-learn. Threads may share one. It pickles (as the bytes of its files), so that workers
    can have one each; on few cores two at once are slower than one after the other.

    Parameters
    ----------
    model : bytes
        Content of the file; :meth:`load` reads it from a path.
    tokenizer : bytes or path-like, default=None
        For a text file: content of the tokenizer's file, or the folder it lies in.
    device : {"cpu", "cuda"}, default="cpu"
        Where to run; "cuda" needs the `gpu` extra.
    providers : sequence, default=None
        onnxruntime execution providers in order of preference, in place of `device`.

    Attributes
    ----------
    n_features_in_ : int
        Width of X; for text, of the embedding within.
    provider_ : str
        The onnxruntime provider that the session really got.
    metadata_ : dict
        What the file says of itself: format_version, skcausalrm_version, head, method,
        binary, n_features, feature_names, outputs (which there are), single_fit (how far one
        sigmoid is from the joint model's mixture of them, see :func:`to_onnx`; None for other
        heads), created_with, and text (None for embeddings): encoder, precision, max_length,
        agreement with the original (see :func:`text_to_onnx`) and so on.
    truncated_count_ : int
        Of text: rows of the last call that were longer than the encoder reads.

    Raises
    ------
    ModelDirectoryError
        If `model` is no such file, is damaged, or is from a newer skcausalrm, or if the tokenizer
        is missing or another.
    MissingExtraError
        If onnxruntime, or tokenizers for text, is not installed.
    ValueError
        If `device` is unknown or `providers` is empty.

    Warns
    -----
    ExportWarning
        If the first provider asked for is not the one that runs. onnxruntime itself falls
        back to the CPU without a word.

    Examples
    --------
    >>> from skcausalrm.export import RewardScorer
    >>> scorer = RewardScorer.load("reward.onnx")                     # doctest: +SKIP
    >>> scorer.predict(embeddings)                                    # doctest: +SKIP
    array([0.71, 0.18, 0.55])
    """

    def __init__(
        self,
        model: bytes,
        *,
        tokenizer: bytes | str | os.PathLike | None = None,
        device: str = "cpu",
        providers: Sequence[Any] | None = None,
    ):
        if device not in _PROVIDERS:
            raise ValueError(f"device is {device!r}; use 'cpu' or 'cuda'.")
        if providers is not None and not len(providers):
            raise ValueError("providers is empty; name at least one, or leave it out.")
        self._model, self._tokenizer = model, tokenizer
        self._wanted = _PROVIDERS[device] if providers is None else list(providers)
        self._start()

    @classmethod
    def load(
        cls,
        path: str | os.PathLike,
        *,
        device: str = "cpu",
        providers: Sequence[Any] | None = None,
    ) -> RewardScorer:
        """Read an exported file.

        Parameters
        ----------
        path : path-like
            File written by :func:`to_onnx` or :func:`text_to_onnx`; the tokenizer of the latter is
            read from the same folder.
        device, providers
            As of the class.

        Returns
        -------
        RewardScorer
        """
        path = Path(path)
        return cls(path.read_bytes(), tokenizer=path.parent, device=device, providers=providers)

    @overload
    def predict(self, X, return_std: Literal[False] = False) -> np.ndarray: ...

    @overload
    def predict(self, X, return_std: Literal[True]) -> tuple[np.ndarray, np.ndarray]: ...

    def predict(self, X, return_std: bool = False):
        """Rewards, as the fitted model's ``predict`` gives them.

        Parameters
        ----------
        X : array-like of shape (n, n_features_in_), or text rows
            Embeddings, scored as float32 in batches of bounded size. For a text file: (prompt,
            completion) pairs, chat-message lists or a DataFrame of either, as
            `ConversationEncoder` takes them; equal texts are scored once.
        return_std : bool, default=False
            Whether to return standard deviations too.

        Returns
        -------
        reward : ndarray of shape (n,)
            In [0, 1] for binary feedback.
        std : ndarray of shape (n,)
            If `return_std`: of the reward, over the joint model's mixture or a ridge head's
            folds.

        Raises
        ------
        ValueError
            If X has another width or other column names, or holds NaN or inf.
        InvalidInputError
            If text rows lack prompts or completions.
        UnusedParameterError
            If `return_std` is asked of a file without standard deviations.
        """
        if not return_std:
            return self._run(["reward"], X)[0]
        if "reward_std" not in self.metadata_["outputs"]:
            raise UnusedParameterError(
                f"return_std=True needs a file with standard deviations, and this one (a "
                f"{self.metadata_['head']} head, skcausalrm {self.metadata_['skcausalrm_version']})"
                f" has none: export the joint model's own head (without single=True) or a ridge "
                f"head."
            )
        reward, std = self._run(["reward", "reward_std"], X)
        return reward, std

    def decision_function(self, X) -> np.ndarray:
        """Unbounded scores, as the fitted model's ``decision_function`` gives them.

        Parameters
        ----------
        X : array-like of shape (n, n_features_in_), or text rows
            As of `predict`.

        Returns
        -------
        score : ndarray of shape (n,)
        """
        return self._run(["score"], X)[0]

    def rewards_and_scores(self, X) -> tuple[np.ndarray, np.ndarray]:
        """Return `predict` and `decision_function` of the same rows, computed together.

        Parameters
        ----------
        X : array-like of shape (n, n_features_in_), or text rows
            As in `predict`.

        Returns
        -------
        reward : ndarray of shape (n,)
            Rewards. Clipped ones tie at 0 and 1.
        score : ndarray of shape (n,)
            Unbounded scores, which `best_first` sorts by.
        """
        reward, score = self._run(["reward", "score"], X)
        return reward, score

    def rank(self, prompt, completions: Sequence) -> tuple[np.ndarray, np.ndarray]:
        """Order answers to one prompt, the best first.

        Parameters
        ----------
        prompt : str or list of messages
        completions : sequence of (str or list of messages)

        Returns
        -------
        order : ndarray of int, shape (n,)
            Positions in `completions`, by falling score; equal ones in their order.
        rewards : ndarray of shape (n,)
            Of the completions as given.

        Raises
        ------
        UnusedParameterError
            If the file scores embeddings.
        InvalidInputError
            If a completion is empty or no text.
        """
        if self._text is None:
            raise UnusedParameterError(
                "rank takes text, but this file scores embeddings: export encoder and reward "
                "together with text_to_onnx, or sort by predict(X)."
            )
        rewards, scores = self.rewards_and_scores([(prompt, c) for c in completions])
        return best_first(scores), rewards

    def __repr__(self) -> str:
        return (
            f"RewardScorer(method={self.metadata_['method']!r}, head={self.metadata_['head']!r}, "
            f"n_features_in_={self.n_features_in_}, provider_={self.provider_!r})"
        )

    def __getstate__(self):
        return {name: self.__dict__[name] for name in ("_model", "_tokenizer", "_wanted")}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self._start()

    def _start(self) -> None:
        onnxruntime = import_extra("onnxruntime", extra="cpu", purpose="RewardScorer")
        available = onnxruntime.get_available_providers()
        usable = [provider for provider in self._wanted if _name(provider) in available]
        options = onnxruntime.SessionOptions()
        # Threads that wait for work by spinning take the cores from whatever feeds them: without,
        # one text is scored a third faster, and a batch as fast.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            session = onnxruntime.InferenceSession(
                self._model, options, providers=usable or _PROVIDERS["cpu"]
            )
        except Exception as error:  # onnxruntime's errors have no common base of their own
            raise ModelDirectoryError(
                f"The ONNX model ({len(self._model)} bytes) cannot be loaded by onnxruntime "
                f"{onnxruntime.__version__}; export it again."
            ) from error
        self._session = session
        self.provider_: str = session.get_providers()[0]
        properties = session.get_modelmeta().custom_metadata_map
        self.metadata_ = _read_metadata(properties)
        self.metadata_["outputs"] = [output.name for output in session.get_outputs()]
        self._text = self._read_text()
        on_cpu = self.provider_ == "CPUExecutionProvider" and self._text is None
        self._linear = _read_linear(properties) if on_cpu else None
        self.n_features_in_: int = self.metadata_["n_features"]
        if self.provider_ != (wanted := _name(self._wanted[0])):
            warn(
                f"{wanted} is not usable here, so {self.provider_} runs; install the matching "
                "onnxruntime and drivers (for CUDA: `pip install skcausalrm[gpu]`).",
                ExportWarning,
                "provider-fallback",
            )

    def _read_text(self) -> TextTokenizer | None:
        """The tokenizer of a text file, kept as bytes from now on."""
        if (found := self.metadata_["text"]) is None:
            return None
        try:
            settings = TextSettings(**found)
        except TypeError as error:
            raise ModelDirectoryError(
                "The ONNX model's text metadata is damaged; export it again."
            ) from error
        if not isinstance(self._tokenizer, bytes):
            folder = "." if self._tokenizer is None else self._tokenizer
            try:
                self._tokenizer = (Path(folder) / settings.tokenizer_file).read_bytes()
            except OSError as error:
                raise ModelDirectoryError(
                    f"The tokenizer {settings.tokenizer_file} of this text file cannot be read in "
                    f"{folder} ({error.strerror}); bring it there or export again."
                ) from error
        return TextTokenizer(self._tokenizer, settings)

    def _run(self, outputs: list[str], X) -> Sequence[np.ndarray]:
        """Return the values of each of `outputs`, shape (n,)."""
        return (
            self._run_embeddings(outputs, X) if self._text is None else self._run_text(outputs, X)
        )

    def _run_text(self, outputs: list[str], rows) -> Sequence[np.ndarray]:
        assert self._text is not None
        texts = self._text.texts(rows)
        position: dict[str, int] = {}
        row_of = np.array([position.setdefault(text, len(position)) for text in texts], np.intp)
        tokens = self._text.tokenize(list(position))
        result = np.empty((len(outputs), len(position)))
        for index in length_sorted_batches(tokens.lengths, _BATCH_TEXTS, _BATCH_TOKENS):
            result[:, index] = self._session.run(outputs, self._text.batch(tokens, index))
        self.truncated_count_ = int(tokens.truncated[row_of].sum())
        return list(result[:, row_of])

    def _run_embeddings(self, outputs: list[str], X) -> Sequence[np.ndarray]:
        X = self._check(X)
        linear = self._linear
        if linear is not None and "reward_std" not in outputs:
            products = linear.products(X)
            # a sum that is finite says that all are, and costs one row nothing
            if not math.isfinite(products.dot(products)) and not np.isfinite(products).all():
                _refuse_row(int(np.flatnonzero(~np.isfinite(products))[0]))
            return [getattr(linear, name)(products) for name in outputs]
        result = np.empty((len(outputs), len(X)))
        size = min(_BATCH_ROWS, max(1, _BATCH_BYTES // (4 * self.n_features_in_)))
        for start in range(0, len(X), size):
            batch = np.ascontiguousarray(X[start : start + size], dtype=np.float32)
            *values, score = self._session.run([*outputs, "score"], {"X": batch})
            # every NaN or inf of a row reaches its score, so that X needs no pass of its own
            if not np.isfinite(score).all():
                _refuse_row(start + int(np.flatnonzero(~np.isfinite(score))[0]))
            result[:, start : start + size] = values
        return list(result)

    def _check(self, X) -> np.ndarray:
        names = self.metadata_["feature_names"]
        if names is not None and hasattr(X, "columns"):
            for position, (found, expected) in enumerate(zip(X.columns, names, strict=False)):
                if found != expected:
                    raise ValueError(
                        f"Column {position} of X is {found!r} where the model was trained with "
                        f"{expected!r}; pass the same columns in the same order."
                    )
        X = np.asarray(X)
        if X.ndim != 2:
            raise ValueError(f"X has {X.ndim} dimensions; pass rows of embeddings, shape (n, d).")
        if X.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X has {X.shape[1]} columns where the model was trained with "
                f"{self.n_features_in_}; embed with the encoder it was trained with."
            )
        return X


def best_first(scores: np.ndarray) -> np.ndarray:
    """Return positions by falling score, equal scores in their order.

    Every ranking uses unbounded scores: clipped rewards tie at 0 and 1.
    """
    return np.argsort(-scores, kind="stable")


def _refuse_row(row: int) -> NoReturn:
    raise ValueError(
        f"Row {row} of X has no finite score; it must not hold NaN, inf or values beyond float32."
    )


def _read_linear(raw: dict[str, str]) -> LinearReward | None:
    try:
        facts = json.loads(raw.get("linear", "null"))
        return None if facts is None else LinearReward(facts)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelDirectoryError(
            "The ONNX model's linear metadata is damaged; export it again."
        ) from error


def _name(provider) -> str:
    return provider if isinstance(provider, str) else provider[0]


def _read_metadata(raw: dict[str, str]) -> dict[str, Any]:
    try:
        found = int(raw["format_version"])
    except (KeyError, ValueError) as error:
        raise ModelDirectoryError(
            "The ONNX model has no skcausalrm metadata; RewardScorer reads files of to_onnx only."
        ) from error
    if found > FORMAT_VERSION:
        raise ModelDirectoryError(
            f"The ONNX model has format version {found} and this skcausalrm reads up to "
            f"{FORMAT_VERSION}; upgrade skcausalrm."
        )
    try:
        return {
            "format_version": found,
            "skcausalrm_version": raw["skcausalrm_version"],
            "head": raw["head"],
            "method": raw["method"],
            "binary": json.loads(raw["binary"]),
            "n_features": int(raw["n_features"]),
            "feature_names": json.loads(raw["feature_names"]),
            "single_fit": json.loads(raw.get("single_fit", "null")),
            "text": json.loads(raw.get("text", "null")),
            "created_with": json.loads(raw["created_with"]),
        }
    except (KeyError, ValueError) as error:
        raise ModelDirectoryError(
            "The ONNX model's skcausalrm metadata is damaged; export it again."
        ) from error
