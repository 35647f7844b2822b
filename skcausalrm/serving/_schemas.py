"""Bodies of requests and replies."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "ErrorBody",
    "RankRequest",
    "RankResponse",
    "Row",
    "ScoreRequest",
    "ScoreResponse",
]


class Message(BaseModel):
    """One turn of a chat."""

    model_config = ConfigDict(extra="allow")
    role: str
    content: str | list[dict[str, Any]] | None = Field(
        description='Text, or parts such as {"type": "text", "text": "..."}.'
    )


Turn = str | list[Message]


class Row(BaseModel):
    """Prompt and completion, or messages that end with the answer."""

    prompt: Turn | None = None
    completion: Turn | None = None
    messages: list[Message] | None = None


class ScoreRequest(BaseModel):
    """Answers to score, to any prompts."""

    rows: list[Row] = Field(
        min_length=1,
        examples=[[{"prompt": "What is 2 + 2?", "completion": "4."}]],
    )


class ScoreResponse(BaseModel):
    """Rewards in the order of the rows."""

    rewards: list[float]
    model: str


class RankRequest(BaseModel):
    """Answers to one prompt."""

    prompt: Turn
    completions: list[Turn] = Field(min_length=1, examples=[["Five.", "4."]])


class RankResponse(BaseModel):
    """Positions of the completions, the best first, and rewards in the request's order."""

    order: list[int]
    rewards: list[float]
    model: str


class ErrorDetail(BaseModel):
    """Kind and message of an error, and the row it is about, if any."""

    type: str
    message: str
    index: int | None = None


class ErrorBody(BaseModel):
    """Body of every reply that is not a success."""

    error: ErrorDetail
