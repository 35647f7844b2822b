"""Models that score text: a text ONNX file, or a model directory with its encoder."""

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..exceptions import ModelDirectoryError
from ..export import RewardScorer, load_model_directory
from ..export._ranking import best_first, check_answers

# Share of the log that lies farther out than a row whose reward is a guess.
_LOW_SUPPORT = 0.01
RewardsAndScores = tuple[NDArray[np.float64], NDArray[np.float64]]


class TextModel:
    """Rewards of text rows. Threads may share one model.

    Parameters
    ----------
    name : str
        Name of the model in replies.
    rewards_and_scores : callable
        Function from text rows to rewards and unbounded scores, both of shape (n,), and, if the
        model knows it, their support.
    facts : dict
        Description of the model, as JSON can hold it.
    reader : RewardScorer or ConversationEncoder, default=None
        Reader of the texts, which counts those that it shortened.
    reward_reference : dict, default=None
        Mean and distribution of the rewards at the fit, from which the metrics tell drift.
    knows_support : bool, default=False
        Whether `rewards_and_scores` returns support.

    Attributes
    ----------
    low_support_count : int or None
        Rows of the last call that lie beyond 99% of the log, where rewards are guesses; None if
        the model does not know how far rows are from its log.
    """

    def __init__(
        self,
        name: str,
        rewards_and_scores: Callable[[Any], Sequence[NDArray[np.float64]]],
        facts: dict,
        reader: Any = None,
        reward_reference: dict[str, Any] | None = None,
        knows_support: bool = False,
    ):
        self.name = name
        self._rewards_and_scores, self._facts, self._reader = rewards_and_scores, facts, reader
        self.reward_reference = reward_reference
        self.low_support_count = 0 if knows_support else None

    def predict(self, rows: Any) -> NDArray[np.float64]:
        """Return the rewards of text rows, shape (n,).

        Parameters
        ----------
        rows : text rows
            As `ConversationEncoder` takes them.

        Returns
        -------
        ndarray of shape (n,)
            Rewards.
        """
        return self.rewards_and_scores(rows)[0]

    def rewards_and_scores(self, rows: Any) -> RewardsAndScores:
        """Return the rewards of text rows and the unbounded scores that rank them.

        Parameters
        ----------
        rows : text rows
            As `ConversationEncoder` takes them.

        Returns
        -------
        reward : ndarray of shape (n,)
            Rewards. Clipped ones tie at 0 and 1.
        score : ndarray of shape (n,)
            Unbounded scores.
        """
        reward, score, *support = self._rewards_and_scores(rows)
        if support and self.low_support_count is not None:
            self.low_support_count = int(np.count_nonzero(support[0] < _LOW_SUPPORT))
        return reward, score

    def rank(self, prompt: Any, completions: Sequence[Any]) -> tuple[NDArray, NDArray]:
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
            Positions in `completions`, by falling unbounded score; equal ones in their order.
        rewards : ndarray of shape (n,)
            Rewards in the order of `completions`.

        Raises
        ------
        InvalidInputError
            If a completion is empty or not text, or `completions` is one text.
        """
        check_answers(completions)
        rewards, scores = self.rewards_and_scores([(prompt, answer) for answer in completions])
        return best_first(scores), rewards

    @property
    def acceptance(self) -> dict[str, Any] | None:
        """The threshold that the model's files hold (see `keep_threshold`), or None."""
        return self._facts.get("acceptance")

    def truncated_counts(self) -> tuple[int, int]:
        """Return the rows of the last call whose prompt and whose answer were shortened.

        Returns
        -------
        tuple of int
            Prompts and answers.
        """
        names = ("truncated_prompt_count_", "truncated_answer_count_")
        prompts, answers = (getattr(self._reader, name, 0) for name in names)
        return prompts, answers

    def info(self) -> dict[str, Any]:
        """Return a description of the model.

        Returns
        -------
        dict
            Name, method, head, encoder and versions.
        """
        return {"model": self.name, **self._facts}


def load_model(path: str | os.PathLike, *, device: str | None = None) -> TextModel:
    """Open a text ONNX file or a model directory.

    Parameters
    ----------
    path : path-like
        A file of `text_to_onnx`, which needs numpy, onnxruntime and tokenizers only, or a model
        directory of `skcausalrm fit`, whose encoder needs torch.
    device : str, default=None
        Device of a text file, "cpu" or "cuda" (None: "cpu"), or torch device of a directory's
        encoder (None: CUDA where there is one).

    Returns
    -------
    TextModel
        The model, ready to score.

    Raises
    ------
    ModelDirectoryError
        If there is no model at `path`, it is damaged, it takes embeddings instead of text, or the
        encoder's files have changed since the fit.
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
    facts = _facts(scorer, scorer.metadata_["method"], text["encoder"], text["precision"])
    reference = scorer.metadata_["reward_reference"]
    known = _knows_support(scorer)
    return TextModel(path.name, _scoring(scorer), facts, scorer, reference, known)


def _facts(scorer: RewardScorer, method: str, encoder: str, precision: str) -> dict[str, Any]:
    facts = {
        "method": method,
        "head": scorer.metadata_["head"],
        "encoder": encoder,
        "precision": precision,
        "skcausalrm_version": scorer.metadata_["skcausalrm_version"],
    }
    acceptance = scorer.metadata_["acceptance"]
    return facts if acceptance is None else {**facts, "acceptance": acceptance}


def _scoring(scorer: RewardScorer) -> Callable[[Any], Sequence[NDArray[np.float64]]]:
    """Return the function that scores rows, with their support where the file knows it."""
    return partial(scorer.rewards_and_scores, with_support=_knows_support(scorer))


def _knows_support(scorer: RewardScorer) -> bool:
    return scorer.metadata_["support_quantiles"] is not None


def _from_directory(path: Path, device: str | None) -> TextModel:
    from ..text._saved import load_encoder

    directory = load_model_directory(path)
    encoder = load_encoder(directory.encoder_settings, path, None)
    encoder.set_params(device=device, show_progress=False)
    scorer = directory.scorer

    of_embeddings = _scoring(scorer)

    def rewards_and_scores(rows: Any) -> Sequence[NDArray[np.float64]]:
        return of_embeddings(encoder.transform(rows))

    facts = _facts(scorer, directory.config["method"], str(encoder.model), encoder.dtype)
    name, reference = path.resolve().name, directory.reward_reference
    known = _knows_support(scorer)
    return TextModel(name, rewards_and_scores, facts, encoder, reference, known)
