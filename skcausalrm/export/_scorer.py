"""RewardScorer: rewards from an exported file with numpy, onnxruntime and tokenizers only."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from .._utils._batching import length_sorted_batches
from ..exceptions import UnusedParameterError
from ..text._window import warn_truncated
from ._metadata import read_metadata
from ._ranking import best_first, check_answers
from ._session import CPU, check_finite, start_session
from ._text_tokens import EMBEDDING, TextTokenizer, read_tokenizer

# Maximum bytes and rows of embeddings in a batch. The rows are limited too because a mixture
# computes about 80 values per row, however narrow X is.
_BATCH_BYTES, _BATCH_ROWS = 16 * 2**20, 2**15
# Maximum texts in a batch, and tokens with padding. Larger batches overflow a CPU's caches.
_BATCH_TEXTS, _BATCH_TOKENS = 32, 2048
_PROVIDERS: dict[str, list] = {"cpu": [CPU], "cuda": ["CUDAExecutionProvider", CPU]}


class RewardScorer:
    """Score embeddings with a file of :func:`to_onnx`, or text with one of :func:`text_to_onnx`.

    Scoring imports numpy and onnxruntime, for text also tokenizers, and neither torch nor
    scikit-learn. Threads may share a scorer. It pickles as the bytes of its files, so each worker
    process can have its own; on few cores, two at a time are slower than one after the other.

    Parameters
    ----------
    model : bytes
        Content of the ONNX file; :meth:`load` reads it from a path.
    tokenizer : bytes or path-like, default=None
        For a text file: content of the tokenizer file, or the folder that holds it.
    device : {"cpu", "cuda"}, default="cpu"
        Device to run on; "cuda" needs the `gpu` extra.
    providers : sequence, default=None
        onnxruntime execution providers in order of preference, in place of `device`.

    Attributes
    ----------
    n_features_in_ : int
        Columns of X; for text, the features that the file makes of a row.
    provider_ : str
        The onnxruntime provider that runs the session.
    metadata_ : dict
        Metadata of the file: format_version, skcausalrm_version, head, method, binary,
        n_features, feature_names, outputs (names of the graph's outputs), single_fit (distance
        between the selection model's mixture and its nearest sigmoid, see :func:`to_onnx`; None
        for other heads), created_with, pessimism (of its rewards, see :func:`to_onnx`), acceptance
        (see :func:`keep_threshold`; None without), reward_reference (mean and distribution of the
        training rewards, for drift; None where unknown), support_quantiles, and text. For
        embeddings text is None; for text it holds encoder, precision, max_length, agreement with
        the original (see :func:`text_to_onnx`) and more.
    truncated_prompt_count_, truncated_answer_count_ : int
        Rows of the last call whose prompt was not read to its beginning, and whose answer was
        shortened (text files only).

    Raises
    ------
    ModelDirectoryError
        If `model` is not such a file, is damaged, or was written by a newer skcausalrm, or if the
        tokenizer is missing or a different one.
    MissingExtraError
        If onnxruntime, or tokenizers for text, is not installed.
    ValueError
        If `device` is unknown or `providers` is empty.

    Warns
    -----
    ExportWarning
        If the first requested provider is not the one that runs. onnxruntime itself falls back
        to the CPU silently.

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
    ) -> Self:
        """Read an exported file.

        Parameters
        ----------
        path : path-like
            File written by :func:`to_onnx` or :func:`text_to_onnx`. The tokenizer of a text file
            is read from the same folder.
        device : {"cpu", "cuda"}, default="cpu"
            Device to run on.
        providers : sequence, default=None
            onnxruntime execution providers, in place of `device`.

        Returns
        -------
        RewardScorer
            The scorer of the file.
        """
        path = Path(path)
        return cls(path.read_bytes(), tokenizer=path.parent, device=device, providers=providers)

    def predict(self, X, return_std: bool = False):
        """Return the rewards of the fitted model's ``predict``.

        Parameters
        ----------
        X : array-like of shape (n, d), or text rows
            Embeddings, scored as float32 in batches of bounded size. For a text file: (prompt,
            completion) pairs, chat-message lists or a DataFrame of either, as
            `ConversationEncoder` takes them; equal texts are scored once.
        return_std : bool, default=False
            Whether to return standard deviations too.

        Returns
        -------
        reward : ndarray of shape (n,)
            Rewards, in [0, 1] for binary feedback.
        std : ndarray of shape (n,)
            Standard deviations of the rewards over the selection model's mixture or over a ridge
            head's folds, if `return_std`.

        Raises
        ------
        ValueError
            If X has the wrong columns, or holds NaN or inf.
        InvalidInputError
            If text rows lack prompts or completions.
        UnusedParameterError
            If `return_std` is True and the file has no standard deviations.
        """
        if not return_std:
            return self._run(["reward"], X)[0]
        if "reward_std" not in self.metadata_["outputs"]:
            raise UnusedParameterError(
                f"return_std=True needs a file with standard deviations, and this one (a "
                f"{self.metadata_['head']} head, skcausalrm {self.metadata_['skcausalrm_version']})"
                f" has none: export the selection model's own head (without single=True) or a "
                f"ridge head."
            )
        return tuple(self._run(["reward", "reward_std"], X))

    def decision_function(self, X) -> np.ndarray:
        """Return the unbounded scores of the fitted model's ``decision_function``.

        Parameters
        ----------
        X : array-like of shape (n, d), or text rows
            As in `predict`.

        Returns
        -------
        score : ndarray of shape (n,)
            Scores, which rank like rewards but do not tie at 0 and 1.
        """
        return self._run(["score"], X)[0]

    def rewards_and_scores(self, X, *, with_support: bool = False):
        """Return `predict` and `decision_function` of the same rows, computed together.

        Parameters
        ----------
        X : array-like of shape (n, d), or text rows
            As in `predict`.
        with_support : bool, default=False
            Whether to return their `support` too.

        Returns
        -------
        reward : ndarray of shape (n,)
            Rewards. Clipped ones tie at 0 and 1.
        score : ndarray of shape (n,)
            Unbounded scores, which `best_first` sorts by.
        support : ndarray of shape (n,)
            Only with ``with_support=True``.
        """
        if not with_support:
            return tuple(self._run(["reward", "score"], X))
        if (quantiles := self.metadata_["support_quantiles"]) is None:
            raise UnusedParameterError(
                f"This file (skcausalrm {self.metadata_['skcausalrm_version']}) does not know how "
                f"far rows are from its log: fit and export the model again."
            )
        *found, distance = self._run(["reward", "score", "distance"], X)
        levels = np.linspace(0, 1, len(quantiles))
        return *found, 1 - np.interp(distance, quantiles, levels, left=0.0, right=1.0)

    def support(self, X) -> np.ndarray:
        """Return how much of the log lies at least as far out as each row.

        Parameters
        ----------
        X : array-like of shape (n, d), or text rows
            As in `predict`.

        Returns
        -------
        ndarray of shape (n,)
            The fitted model's ``support``: 0.5 for a usual row, 0 for one beyond the whole log,
            whose reward is a guess.

        Raises
        ------
        UnusedParameterError
            If an earlier version wrote the file.
        """
        return self.rewards_and_scores(X, with_support=True)[2]

    def accepts(self, X) -> np.ndarray:
        """Return which rows have at least the reward from which on few answers are bad.

        Parameters
        ----------
        X : array-like of shape (n, d), or text rows
            As in `predict`.

        Returns
        -------
        ndarray of bool, shape (n,)
            True where the row is accepted; ``metadata_["acceptance"]`` says at which risk.

        Raises
        ------
        UnusedParameterError
            If the file holds no threshold.
        """
        if (acceptance := self.metadata_["acceptance"]) is None:
            raise UnusedParameterError(
                "This file holds no threshold from which on answers are accepted: find one with "
                "skcausalrm.inference.threshold_for and keep it with skcausalrm.export."
                "keep_threshold."
            )
        return np.asarray(self.predict(X)) >= acceptance["threshold"]

    def rank(self, prompt, completions: Sequence) -> tuple[np.ndarray, np.ndarray]:
        """Order answers to one prompt, the best first.

        Parameters
        ----------
        prompt : str or list of messages
            Prompt that all completions answer.
        completions : sequence of (str or list of messages)
            Answers to compare.

        Returns
        -------
        order : ndarray of int, shape (n,)
            Positions in `completions`, by falling score; equal ones in their order.
        rewards : ndarray of shape (n,)
            Rewards in the order of `completions`.

        Raises
        ------
        UnusedParameterError
            If the file scores embeddings.
        InvalidInputError
            If a completion is empty or not text, or `completions` is one text.
        """
        if self._text is None:
            raise UnusedParameterError(
                "rank takes text, but this file scores embeddings: export encoder and reward "
                "together with text_to_onnx, or sort by predict(X)."
            )
        check_answers(completions)
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
        session, self._part = start_session(self._model, self._wanted)
        self._session = session
        self.provider_: str = session.get_providers()[0]
        self.metadata_, linear, text = read_metadata(session.get_modelmeta().custom_metadata_map)
        self.metadata_["outputs"] = [output.name for output in session.get_outputs()]
        self._text = None
        if text is not None:
            self._tokenizer = read_tokenizer(self._tokenizer, text)
            self._text = TextTokenizer(self._tokenizer, text)
        self._linear = linear if self.provider_ == CPU else None
        self.n_features_in_: int = self.metadata_["n_features"]
        # Inputs of the part of a graph that a call does not run: onnxruntime asks for all.
        ids, X = np.ones((1, 1), np.int64), np.zeros((1, self.n_features_in_), np.float32)
        kinds = {one.name: one.type for one in session.get_inputs()}
        self._unused = {name: ids if "int" in kind else X for name, kind in kinds.items()}

    def _run(self, outputs: list[str], X) -> Sequence[np.ndarray]:
        """Return the values of each of `outputs`, shape (n,)."""
        if self._text is None:
            return self._run_embeddings(outputs, X)
        return self._run_text(self._text, outputs, X)

    def _run_text(self, text: TextTokenizer, outputs: list[str], rows) -> Sequence[np.ndarray]:
        texts = text.texts(rows)
        tokens = text.tokenize(texts.passages)
        apart, n_texts = text.settings.apart, len(texts.passages)
        # Embeddings of the texts, or the outputs for each of them.
        shape = (n_texts, self.n_features_in_ // 2) if apart else (len(outputs), n_texts)
        found = np.empty(shape, dtype="f4" if apart else "f8")
        for index in length_sorted_batches(tokens.lengths, _BATCH_TEXTS, _BATCH_TOKENS):
            batch = text.batch(tokens, index)
            if apart:
                found[index] = self._run_part([EMBEDDING], batch)[0]
            else:
                found[:, index] = self._session.run(outputs, batch, self._part)
        shortened = texts.count_shortened(tokens.truncated)
        self.truncated_prompt_count_, self.truncated_answer_count_ = shortened
        warn_truncated(*shortened, texts.places.shape[1], text.settings.max_length)
        if apart:
            return self._run_embeddings(outputs, texts.features(found))
        return list(found[:, texts.places[0]])

    def _run_part(self, outputs: list[str], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        """Return outputs of the part of the graph that the inputs are of."""
        if self._text is None:
            return self._session.run(outputs, inputs, self._part)
        return self._session.run(outputs, {**self._unused, **inputs}, self._part)

    def _run_embeddings(self, outputs: list[str], X) -> Sequence[np.ndarray]:
        X = self._check(X)
        if self._linear is not None and not {"reward_std", "distance"} & {*outputs}:
            products = self._linear.products(X)
            # if the sum of squares is finite, so are all products; this is fastest for one row
            if not math.isfinite(products.dot(products)):
                check_finite(products)
            return [getattr(self._linear, name)(products) for name in outputs]
        result = np.empty((len(outputs), len(X)))
        rows = _BATCH_ROWS // (1 if self.metadata_["pessimism"] is None else 8)
        size = min(rows, max(1, _BATCH_BYTES // (4 * self.n_features_in_)))
        for start in range(0, len(X), size):
            batch = np.ascontiguousarray(X[start : start + size], dtype=np.float32)
            *values, score = self._run_part([*outputs, "score"], {"X": batch})
            # every NaN or inf of a row reaches its score, so X needs no check of its own
            check_finite(score, start)
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
