"""Rewards as the functions that RLHF trainers call: TRL, verl, OpenRLHF."""

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
from ..text._chat_markup import EMPTY_REWARD, positions_with_text, split_query
from ..text._conversation import valid_unicode
from ._models import load_model

# Rows sent to a server in one request.
_ROWS_OF_A_REQUEST = 256
# Maximum seconds to wait for an overloaded server.
_PATIENCE = 300.0


class _Model:
    """A model, or a path that each process opens on first use."""

    def __init__(self, model: Any, *options: Any):
        self._given, self._options = model, options
        self._loaded = None if isinstance(model, str | os.PathLike) else model
        self._lock = threading.Lock()

    def __reduce__(self):
        return type(self), (self._given, *self._options)

    def rewards(self, rows: Sequence[tuple[Any, Any]]) -> list[float]:
        """Return the rewards of rows, `EMPTY_REWARD` where the answer is empty."""
        with self._lock:
            if self._loaded is None:
                self._loaded = load_model(self._given)
        kept = positions_with_text(rows)
        rewards = np.full(len(rows), EMPTY_REWARD)
        if kept:
            rewards[kept] = self._loaded.predict([rows[i] for i in kept])
        return rewards.tolist()


def valid_json(value: Any) -> Any:
    """Return a body in which `valid_unicode` has replaced half characters, which no JSON holds."""
    if isinstance(value, str):
        return valid_unicode(value)
    if isinstance(value, dict):
        return {key: valid_json(item) for key, item in value.items()}
    return [valid_json(item) for item in value] if isinstance(value, list) else value


class _TrlReward(_Model):
    __name__ = "skcausalrm_reward"

    def __call__(self, prompts, completions, **_) -> list[float]:
        return self.rewards(list(zip(prompts, completions, strict=True)))


def trl_reward(model: Any):
    """Return a reward function for TRL's GRPOTrainer and RLOOTrainer.

    Parameters
    ----------
    model : path-like or object with ``predict(rows)``
        A text ONNX file, a model directory, a `RewardScorer` of text, or a `TextModel`. A path is
        opened at the first call, so that the function pickles and each process opens its own.

    Returns
    -------
    callable
        Function from ``prompts`` and ``completions``, strings or chat messages, to a list of
        rewards. It ignores other keywords. An empty completion has reward 0.

    Examples
    --------
    >>> from skcausalrm.serving import trl_reward
    >>> from trl import GRPOTrainer                                    # doctest: +SKIP
    >>> GRPOTrainer(policy, reward_funcs=trl_reward("reward.onnx"))    # doctest: +SKIP
    """
    return _TrlReward(model)


def trl_reward_async(url: str, *, token: str | None = None, timeout: float = 60.0):
    """Return a reward function for TRL that asks a server started by ``skcausalrm serve``.

    Parameters
    ----------
    url : str
        Address of the server, such as ``http://127.0.0.1:8000``.
    token : str, default=None
        Bearer token of the server; None sends none.
    timeout : float, default=60.0
        Seconds to wait for one reply. After a 503 the request is repeated when ``Retry-After``
        says, for at most five minutes.

    Returns
    -------
    coroutine function
        Same as the function of :func:`trl_reward`, to be awaited.

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
        kept = positions_with_text(rows)
        rewards = np.full(len(rows), EMPTY_REWARD)
        async with httpx.AsyncClient(headers=headers, timeout=timeout) as client:
            for start in range(0, len(kept), _ROWS_OF_A_REQUEST):
                part = kept[start : start + _ROWS_OF_A_REQUEST]
                body = [{"prompt": rows[i][0], "completion": rows[i][1]} for i in part]
                rewards[part] = await post(client, valid_json(body))
        return rewards.tolist()

    return skcausalrm_reward


class _VerlScore(_Model):
    def __call__(
        self,
        data_source=None,
        solution_str=None,
        ground_truth=None,
        extra_info=None,
        *,
        data_sources=None,
        solution_strs=None,
        ground_truths=None,
        extra_infos=None,
        **_: Any,
    ):
        if solution_strs is None:
            return self.rewards([(self._prompt(data_source, extra_info), solution_str)])[0]
        # verl's batch reward manager passes lists, under names in the plural.
        sources = [None] * len(solution_strs) if data_sources is None else data_sources
        infos = [None] * len(solution_strs) if extra_infos is None else extra_infos
        prompts = map(self._prompt, sources, infos)
        return self.rewards(list(zip(prompts, solution_strs, strict=True)))

    def _prompt(self, data_source: Any, extra_info: Any) -> Any:
        (prompt_key,) = self._options
        prompt = (extra_info or {}).get(prompt_key)
        if prompt is None:
            raise InvalidInputError(
                f"extra_info of {data_source!r} has no {prompt_key!r}, so the prompt of the "
                f"answer is unknown: add it when you make the data set, or pass its key as "
                f"prompt_key."
            )
        return prompt if isinstance(prompt, str) else list(prompt)


def verl_compute_score(model: Any, *, prompt_key: str = "prompt"):
    """Return a ``compute_score`` for verl's ``custom_reward_function``.

    verl passes an answer without its prompt, so the data set's ``extra_info`` must hold the
    prompt.

    Parameters
    ----------
    model : path-like or object with ``predict(rows)``
        Model, as in :func:`trl_reward`.
    prompt_key : str, default="prompt"
        Key of the prompt, a string or chat messages, in ``extra_info``.

    Returns
    -------
    callable
        ``compute_score(data_source, solution_str, ground_truth, extra_info)``, a float, or for
        the batch reward manager ``compute_score(data_sources=, solution_strs=, ground_truths=,
        extra_infos=)``, a list of them. Threads may share it, and it pickles.

    Raises
    ------
    InvalidInputError
        When called, if ``extra_info`` has no prompt.

    Examples
    --------
    In the file that ``custom_reward_function.path`` names:

    >>> from skcausalrm.serving import verl_compute_score
    >>> compute_score = verl_compute_score("reward.onnx", prompt_key="question")
    """
    return _VerlScore(model, prompt_key)


class _OpenRLHFReward(_Model):
    def __call__(self, queries, prompts=None) -> list[float]:
        prompts = [None] * len(queries) if prompts is None else prompts
        return self.rewards([split_query(*pair) for pair in zip(queries, prompts, strict=True)])


def openrlhf_reward(model: Any):
    """Return a callable from OpenRLHF's queries and prompts to rewards.

    Parameters
    ----------
    model : path-like or object with ``predict(rows)``
        Model, as in :func:`trl_reward`.

    Returns
    -------
    callable
        ``(queries, prompts) -> list of float``. If a query has the markup of ChatML, Llama 3,
        Gemma, Phi, DeepSeek or Mistral, the prompt is read from it; otherwise it is cut off where
        the query begins with it, padding aside.

    Examples
    --------
    >>> from skcausalrm.serving import openrlhf_reward
    >>> reward = openrlhf_reward("reward.onnx")
    >>> reward(["Q: 2 + 2? A: 4."], ["Q: 2 + 2? A:"])                  # doctest: +SKIP
    [0.74]
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
    """Write a Python file for OpenRLHF's option ``--remote_rm_url FILE``.

    Parameters
    ----------
    model : path-like
        A text ONNX file or a model directory; the written file contains its absolute path.
    path : path-like
        File to write, ending in ``.py``. An existing file is replaced.

    Returns
    -------
    path : pathlib.Path
        The written file.

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
        raise ValueError(f"{path} must end in .py, because OpenRLHF takes other names for URLs.")
    name = load_model(model).name
    content = _OPENRLHF.format(name=name, version=__version__, model=str(model))
    write_atomically(path, content.encode())
    return path
