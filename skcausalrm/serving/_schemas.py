"""Bodies of requests and replies."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ..exceptions import InvalidInputError


class Message(BaseModel):
    """One turn of a chat."""

    model_config = ConfigDict(extra="allow")
    role: str
    content: str | list[dict[str, Any]] | None = Field(
        None, description='Text, or parts such as {"type": "text", "text": "..."}.'
    )


Turn = str | list[Message]


def _plain(turn: Turn) -> Any:
    """Return a prompt or completion in the form that `as_conversations` takes."""
    return turn if isinstance(turn, str) else [message.model_dump() for message in turn]


class Row(BaseModel):
    """Prompt and completion, or messages that end with the answer."""

    prompt: Turn | None = None
    completion: Turn | None = None
    messages: list[Message] | None = None

    def pair(self, index: int) -> tuple[Any, Any]:
        """Return prompt and completion of the row at a position of the request.

        Raises
        ------
        InvalidInputError
            If there are neither prompt and completion nor messages, or both.
        """
        if self.messages and self.prompt is None and self.completion is None:
            *prompt, completion = _plain(self.messages)
            if completion["role"] != "assistant":
                raise InvalidInputError(
                    f"the last message is not the assistant's in row {index}; end the messages "
                    f"with the answer to score."
                )
            return prompt, [completion]
        if self.messages is not None or self.prompt is None or self.completion is None:
            raise InvalidInputError(
                f"row {index} needs prompt and completion, or messages alone; send one of both "
                f"forms."
            )
        return _plain(self.prompt), _plain(self.completion)


class ScoreRequest(BaseModel):
    """Answers to score, to any prompts."""

    rows: list[Row] = Field(
        min_length=1,
        examples=[[{"prompt": "What is 2 + 2?", "completion": "4."}]],
    )

    def pairs(self) -> list[tuple[Any, Any]]:
        """Return the (prompt, completion) pairs."""
        return [row.pair(index) for index, row in enumerate(self.rows)]


class ScoreResponse(BaseModel):
    """Rewards in the order of the rows, and which are accepted if the model holds a threshold."""

    rewards: list[float]
    accept: list[bool] | None = None
    model: str


class RankRequest(BaseModel):
    """Answers to one prompt."""

    prompt: Turn
    completions: list[Turn] = Field(min_length=1, examples=[["Five.", "4."]])

    def pairs(self) -> list[tuple[Any, Any]]:
        """Return the prompt with each completion."""
        return [(_plain(self.prompt), _plain(completion)) for completion in self.completions]


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
