"""Parts of a row that an encoder reads: the pair, the answer, the last turn, or both apart."""

from __future__ import annotations

from ._conversation import Conversations, Turn, is_blank, role_of

TEXTS = ("pair", "answer", "last_turn", "apart")


def parts_of(rows: Conversations, text: str) -> Conversations:
    """Return rows with as much of each prompt as is read together with the answer.

    Parameters
    ----------
    rows : Conversations
    text : {"pair", "answer", "last_turn", "apart"}
        "pair" keeps prompts, "last_turn" their last message of the user and what follows it;
        "answer" and "apart" empty them.

    Returns
    -------
    Conversations

    Examples
    --------
    >>> chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    >>> rows = Conversations([chat], ["Hello!"])
    >>> for text in TEXTS:
    ...     parts_of(rows, text).texts()
    ['system: Be brief.\\n\\nuser: Hi\\n\\nHello!']
    ['Hello!']
    ['Hi\\n\\nHello!']
    ['Hello!']
    """
    if text == "pair":
        return rows
    if text == "last_turn":
        return Conversations([_last_turn(prompt) for prompt in rows.prompts], rows.completions)
    return Conversations([""] * len(rows), rows.completions)


def prompts_alone(rows: Conversations) -> tuple[list[int], Conversations]:
    """Return the rows that have a prompt, and these prompts as texts of their own.

    Examples
    --------
    >>> prompts_alone(Conversations(["", "Hi"], ["Yes.", "Hello!"]))[1].texts()
    ['Hi']
    """
    kept = [i for i, prompt in enumerate(rows.prompts) if not is_blank(prompt)]
    prompts = [rows.prompts[i] for i in kept]
    turns: list[Turn] = [
        [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        for prompt in prompts
    ]
    return kept, Conversations([[] for _ in turns], turns)


def _last_turn(prompt: Turn) -> Turn:
    if isinstance(prompt, str):
        return prompt
    places = [i for i, message in enumerate(prompt) if role_of(message) == "user"]
    return prompt[places[-1] :] if places else prompt
