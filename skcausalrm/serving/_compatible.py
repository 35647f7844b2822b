"""Routes in the formats that RLHF trainers and rerankers already use.

The formats are those of the clients' sources:

- OpenRLHF: ``openrlhf/utils/remote_rm_utils.py`` (github.com/OpenRLHF/OpenRLHF at 9b8641c).
- verl: ``verl/experimental/reward_loop/reward_loop.py`` (github.com/verl-project/verl at fed1e3d),
  which asks vLLM's ``/classify`` and reads ``data[-1].probs[-1]``.
- vLLM's ``/score``: ``ScoreResponse`` of its OpenAI-compatible server (in `_app`, because
  the path is also our own).
- text-embeddings-inference: ``router/src/http/types.rs``
  (github.com/huggingface/text-embeddings-inference at 265deb2).
"""

import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
from fastapi import APIRouter
from pydantic import BaseModel, Field

from ..exceptions import InvalidInputError
from ..export._ranking import best_first
from ..text._chat_markup import split_query

Score = Callable[[list[tuple[Any, Any]]], Awaitable[tuple[list[float], list[float]]]]


class OpenRLHFRequest(BaseModel):
    """Rendered prompts with their answers, and the prompts without answers."""

    query: list[str] = Field(min_length=1)
    prompts: list[str] | None = None


class OpenRLHFResponse(BaseModel):
    """Rewards to train on and scores to filter by; both are the reward."""

    rewards: list[float]
    scores: list[float]
    extra_logs: dict[str, list[float]]


def _as_list(texts: str | list[str]) -> list[str]:
    return [texts] if isinstance(texts, str) else texts


class ClassifyRequest(BaseModel):
    """Request of vLLM's classification: one rendered conversation or several."""

    input: str | list[str]


class Class(BaseModel):
    """One answer's reward as its only class."""

    index: int
    label: str | None = None
    probs: list[float]
    num_classes: int = 1


class Usage(BaseModel):
    """Token counts, always 0: tokens are not counted."""

    prompt_tokens: int = 0
    total_tokens: int = 0
    completion_tokens: int = 0


class ListResponse(BaseModel):
    """Fields of every list that vLLM's server returns."""

    id: str = Field(default_factory=lambda: f"score-{uuid.uuid4().hex}")
    object: str = "list"
    created: int = Field(default_factory=lambda: int(time.time()))
    model: str
    usage: Usage = Usage()


class ClassifyResponse(ListResponse):
    """Rewards as classes."""

    data: list[Class]


class TextPairs(BaseModel):
    """Request of vLLM's scoring: prompts and answers, or one prompt with many answers."""

    text_1: str | list[str]
    text_2: str | list[str]

    def pairs(self) -> list[tuple[str, str]]:
        """Return the (prompt, answer) pairs.

        Raises
        ------
        InvalidInputError
            If there are no pairs, or the two lists do not match in length.
        """
        first, second = _as_list(self.text_1), _as_list(self.text_2)
        if len(first) == 1:
            first = first * len(second)
        if len(first) != len(second) or not second:
            raise InvalidInputError(
                f"text_1 has {len(first)} texts and text_2 {len(second)}; send one prompt, or one "
                f"for each answer."
            )
        return list(zip(first, second, strict=True))


class PairScore(BaseModel):
    """One pair's reward."""

    index: int
    object: str = "score"
    score: float


class PairScores(ListResponse):
    """Rewards of pairs."""

    data: list[PairScore]


class RerankRequest(BaseModel):
    """Request of text-embeddings-inference: answers to one prompt."""

    query: str
    texts: list[str] = Field(min_length=1)
    return_text: bool = False


class Ranked(BaseModel):
    """Position of an answer in the request, and its reward."""

    index: int
    score: float
    text: str | None = None


def compatible_routes(score: Score, *, model_name: str) -> APIRouter:
    """Make the routes ``/get_reward``, ``/classify`` and ``/rerank``.

    Parameters
    ----------
    score : coroutine function
        Function from (prompt, completion) rows to rewards and unbounded scores.
    model_name : str
        Name of the model in replies.

    Returns
    -------
    fastapi.APIRouter
        The routes.
    """
    router = APIRouter(tags=["compatible"])

    @router.post("/get_reward")
    async def get_reward(request: OpenRLHFRequest) -> OpenRLHFResponse:
        """Score as OpenRLHF's remote reward model."""
        prompts: list[Any] = request.prompts or [None] * len(request.query)
        if len(prompts) != len(request.query):
            raise InvalidInputError(
                f"query has {len(request.query)} texts and prompts {len(prompts)}; send one prompt "
                f"for each, or none."
            )
        rows = [split_query(*pair) for pair in zip(request.query, prompts, strict=True)]
        rewards, _ = await score(rows)
        return OpenRLHFResponse(rewards=rewards, scores=rewards, extra_logs={"reward": rewards})

    @router.post("/classify")
    async def classify(request: ClassifyRequest) -> ClassifyResponse:
        """Classify as vLLM does, which verl asks for rewards."""
        if not request.input:
            raise InvalidInputError("input holds no text; send one or more.")
        rewards, _ = await score([split_query(text) for text in _as_list(request.input)])
        data = [Class(index=i, probs=[reward]) for i, reward in enumerate(rewards)]
        return ClassifyResponse(model=model_name, data=data)

    @router.post("/rerank", response_model_exclude_none=True)
    async def rerank(request: RerankRequest) -> list[Ranked]:
        """Rerank as text-embeddings-inference does, best first."""
        rewards, scores = await score([(request.query, text) for text in request.texts])
        return [
            Ranked(
                index=i, score=rewards[i], text=request.texts[i] if request.return_text else None
            )
            for i in best_first(np.array(scores)).tolist()
        ]

    return router
