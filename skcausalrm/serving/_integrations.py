"""Rewards as the functions that RLHF trainers call: TRL, verl, OpenRLHF."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .._utils._atomic_files import write_atomically
from .._utils._extras import import_extra
from .._version import __version__
from ..exceptions import InvalidInputError
from ..text._chat_markup import EMPTY_REWARD, said_something, split_query
from ._models import load_model

__all__ = [
    "openrlhf_reward",
    "trl_reward",
    "trl_reward_async",
    "verl_compute_score",
    "write_openrlhf_reward_function",
]

_ROWS_OF_A_REQUEST = 256
_PATIENCE = 300.0  # seconds that an overloaded server is waited for


class _Model:
    """A model, or a path that is opened when it is first asked, in each process anew."""

    def __init__(self, model: Any):
        self._given = os.fspath(model) if isinstance(model, str | os.PathLike) else model
        self._start()

    def _start(self) -> None:
        self._lock = threading.Lock()
        self._loaded = None if isinstance(self._given, str) else self._given

    def __getstate__(self):
        return {"_given": self._given}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self._start()

    def rewards(self, rows: Sequence[tuple[Any, Any]]) -> list[float]:
        """Rewards of rows, `EMPTY_REWARD` where the answer is empty."""
        with self._lock:
            if self._loaded is None:
                self._loaded = load_model(self._given)
        kept = said_something(rows)
        rewards = np.full(len(rows), EMPTY_REWARD)
        if kept:
            rewards[kept] = self._loaded.predict([rows[i] for i in kept])
        return rewards.tolist()


class _TrlReward(_Model):
    __name__ = "skcausalrm_reward"

    def __call__(self, prompts, completions, **_) -> list[float]:
        return self.rewards(list(zip(prompts, completions, strict=True)))


def trl_reward(model: Any):
    """Make a reward function for TRL's GRPOTrainer and RLOOTrainer.

    Parameters
    ----------
    model : path-like or object with ``predict(rows)``
        A text ONNX file, a model directory, a `RewardScorer` of text, and so on. A path is opened
        at the first call, so that the function pickles and every process has its own.

    Returns
    -------
    callable
        From ``prompts`` and ``completions``, strings or chat messages, to a list of rewards; other
        keywords are ignored. An empty completion has reward 0.

    Examples
    --------
    >>> from skcausalrm.serving import trl_reward
    >>> from trl import GRPOTrainer                                    # doctest: +SKIP
    >>> GRPOTrainer(policy, reward_funcs=trl_reward("reward.onnx"))    # doctest: +SKIP
    """
    return _TrlReward(model)


def trl_reward_async(url: str, *, token: str | None = None, timeout: float = 60.0):
    """Make a reward function for TRL that asks a server of ``skcausalrm serve``.

    Parameters
    ----------
    url : str
        The server's address, such as ``http://127.0.0.1:8000``.
    token : str, default=None
        Its bearer token.
    timeout : float, default=60.0
        Seconds for one answer. An overloaded server (503) is asked again when it says, for five
        minutes at most.

    Returns
    -------
    coroutine function
        As of :func:`trl_reward`, to be awaited.

    Raises
    ------
    httpx.HTTPError
        When called, if the server does not answer or refuses.

    Examples
    --------
    >>> from skcausalrm.serving import trl_reward_async
    >>> reward = trl_reward_async("http://127.0.0.1:8000")
    >>> GRPOTrainer(policy, reward_funcs=reward)                       # doctest: +SKIP
    """
    httpx = import_extra("httpx", extra="trl", purpose="trl_reward_async")
    headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def post(client, rows: list[dict]) -> list[float]:
        waited = 0.0
        while True:
            reply = await client.post(f"{url.rstrip('/')}/score", json={"rows": rows})
            if reply.status_code != 503 or waited >= _PATIENCE:
                return reply.raise_for_status().json()["rewards"]
            pause = float(reply.headers.get("Retry-After", 1))
            await asyncio.sleep(pause)
            waited += pause

    async def skcausalrm_reward(prompts, completions, **_) -> list[float]:
        rows = list(zip(prompts, completions, strict=True))
        kept = said_something(rows)
        rewards = np.full(len(rows), EMPTY_REWARD)
        async with httpx.AsyncClient(headers=headers, timeout=timeout) as client:
            for start in range(0, len(kept), _ROWS_OF_A_REQUEST):
                part = kept[start : start + _ROWS_OF_A_REQUEST]
                body = [{"prompt": rows[i][0], "completion": rows[i][1]} for i in part]
                rewards[part] = await post(client, body)
        return rewards.tolist()

    return skcausalrm_reward


class _VerlScore(_Model):
    def __init__(self, model: Any, prompt_key: str):
        super().__init__(model)
        self.prompt_key = prompt_key

    def __getstate__(self):
        return {**super().__getstate__(), "prompt_key": self.prompt_key}

    def __call__(self, data_source, solution_str, ground_truth, extra_info=None, **_: Any) -> float:
        prompt = (extra_info or {}).get(self.prompt_key)
        if prompt is None:
            raise InvalidInputError(
                f"extra_info of {data_source!r} has no {self.prompt_key!r}, so the answer's prompt "
                f"is not known: put it there when the data set is made, or name its key by "
                f"prompt_key."
            )
        prompt = prompt if isinstance(prompt, str) else list(prompt)
        return self.rewards([(prompt, solution_str)])[0]


def verl_compute_score(model: Any, *, prompt_key: str = "prompt"):
    """Make a ``compute_score`` for verl's ``custom_reward_function``.

    verl hands it an answer without its prompt, which must stand in the data set's ``extra_info``.

    Parameters
    ----------
    model : path-like or object with ``predict(rows)``
        As of :func:`trl_reward`.
    prompt_key : str, default="prompt"
        Where ``extra_info`` holds the prompt, a string or chat messages.

    Returns
    -------
    callable
        ``compute_score(data_source, solution_str, ground_truth, extra_info)``, a float. Threads
        may share it, and it pickles.

    Raises
    ------
    InvalidInputError
        When called, if ``extra_info`` has no prompt.

    Examples
    --------
    A file of one's own, named by ``custom_reward_function.path``:

    >>> from skcausalrm.serving import verl_compute_score
    >>> compute_score = verl_compute_score("reward.onnx", prompt_key="question")
    """
    return _VerlScore(model, prompt_key)


class _OpenRLHFReward(_Model):
    def __call__(self, queries, prompts=None) -> list[float]:
        prompts = [None] * len(queries) if prompts is None else prompts
        return self.rewards([split_query(*pair) for pair in zip(queries, prompts, strict=True)])


def openrlhf_reward(model: Any):
    """Make a callable from OpenRLHF's queries and prompts to rewards.

    Parameters
    ----------
    model : path-like or object with ``predict(rows)``
        As of :func:`trl_reward`.

    Returns
    -------
    callable
        ``(queries, prompts) -> list of float``; see :func:`split_query` for how prompt and answer
        are told apart.
    """
    return _OpenRLHFReward(model)


_OPENRLHF = '''"""Rewards of {name} for OpenRLHF's --remote_rm_url.

Written by skcausalrm {version}.
"""

import torch

from skcausalrm.serving._integrations import openrlhf_reward

_score = openrlhf_reward({model!r})


def reward_func(queries, prompts, labels, **kwargs):
    rewards = torch.tensor(_score(queries, prompts), dtype=torch.float32)
    return {{"rewards": rewards, "scores": rewards, "extra_logs": {{"reward": rewards}}}}
'''


def write_openrlhf_reward_function(model: str | os.PathLike, path: str | os.PathLike) -> Path:
    """Write the Python file that OpenRLHF's ``--remote_rm_url FILE`` takes.

    Parameters
    ----------
    model : path-like
        A text ONNX file or a model directory; its absolute path goes into the file.
    path : path-like
        The file to write, ending in ``.py``. One that stands there is replaced.

    Returns
    -------
    path : pathlib.Path

    Raises
    ------
    ModelDirectoryError
        If there is no such model, or it cannot score text.
    ValueError
        If `path` does not end in ``.py``.

    Examples
    --------
    >>> from skcausalrm.serving import write_openrlhf_reward_function
    >>> write_openrlhf_reward_function("reward.onnx", "reward.py")     # doctest: +SKIP
    """
    path, model = Path(path), Path(model).resolve()
    if path.suffix != ".py":
        raise ValueError(f"{path} must end in .py, by which OpenRLHF tells a file from a URL.")
    name = load_model(model).name
    content = _OPENRLHF.format(name=name, version=__version__, model=str(model))
    write_atomically(path, content.encode())
    return path
