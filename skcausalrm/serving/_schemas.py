"""Bodies of requests and answers."""

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
    """An answer and what it answers: prompt and completion, or messages that end with it."""

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
    """Positions of the completions, the best first, and their rewards as given."""

    order: list[int]
    rewards: list[float]
    model: str


class ErrorDetail(BaseModel):
    """What was wrong, and with which row where there is one."""

    type: str
    message: str
    index: int | None = None


class ErrorBody(BaseModel):
    """The body of every answer that is no success."""

    error: ErrorDetail
