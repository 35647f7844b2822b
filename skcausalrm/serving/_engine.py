"""Rows of concurrent requests in common batches, a bounded queue, and an end that loses none."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from ..exceptions import InvalidInputError, OverloadedError

__all__ = ["RewardEngine"]

_SMOOTHING = 0.2  # of the rate, batch by batch


class _Request:
    """Rows that came together; its future is done when all of them have a reward."""

    def __init__(self, rows: Sequence[Any]):
        self.rows = rows
        self.rewards = np.empty(len(rows))
        self.taken, self.missing = 0, len(rows)
        self.future: asyncio.Future = asyncio.get_running_loop().create_future()


class RewardEngine:
    """Score rows of concurrent requests, as many at a time as the model likes.

    One thread runs the model, since more would share the same cores. Whenever it is free it takes
    what is queued, up to `max_batch` rows in order of arrival: under load batches are full, and
    without it nobody waits.

    Parameters
    ----------
    predict : callable
        From a list of (prompt, completion) rows to rewards, shape (n,).
    max_batch : int, default=128
        Most rows in a batch.
    max_queue : int, default=1024
        Most rows that wait. A request that does not fit is refused before anything is done.
    observe : callable, default=None
        Called with the rows and seconds of each batch.

    Examples
    --------
    >>> import asyncio
    >>> from skcausalrm.serving import RewardEngine
    >>> async def main():
    ...     engine = RewardEngine(lambda rows: [float(len(answer)) for _, answer in rows])
    ...     engine.start()
    ...     rewards = await asyncio.gather(engine.score([("a", "b")]), engine.score([("a", "bc")]))
    ...     await engine.close()
    ...     return rewards
    >>> asyncio.run(main())
    [[1.0], [2.0]]
    """

    def __init__(
        self,
        predict: Callable[[list], Any],
        *,
        max_batch: int = 128,
        max_queue: int = 1024,
        observe: Callable[[int, float], None] | None = None,
    ):
        self.predict = predict
        self.max_batch, self.max_queue = max_batch, max_queue
        self.observe = observe
        self.n_waiting = 0
        self.is_open = False
        self._rate = math.nan
        self._queue: deque[_Request] = deque()
        self._worker: asyncio.Task | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="reward")

    def start(self) -> None:
        """Begin to take requests; call it from the event loop."""
        self.is_open = True
        self._wake = asyncio.Event()
        self._worker = asyncio.create_task(self._work())

    async def close(self) -> None:
        """Take no more requests, finish those that were taken, and stop."""
        self.is_open = False
        if self._worker is not None:
            self._wake.set()
            await self._worker
        self._thread.shutdown()

    async def score(self, rows: Sequence[Any]) -> list[float]:
        """Rewards of rows, in their order.

        Raises
        ------
        OverloadedError
            If the queue has no room for the rows now, or the engine is closing.
        """
        if not rows:
            return []
        if not self.is_open:
            raise OverloadedError("The server is stopping; ask another one.", retry_after=1)
        if self.n_waiting and self.n_waiting + len(rows) > self.max_queue:
            raise OverloadedError(
                f"{self.n_waiting} rows wait and the queue holds {self.max_queue}; try again after "
                f"{self.retry_after()} s.",
                retry_after=self.retry_after(),
            )
        request = _Request(rows)
        self._queue.append(request)
        self.n_waiting += len(rows)
        self._wake.set()
        try:
            return await request.future
        finally:
            if request.taken < len(rows):  # the client has gone: what waits is dropped
                self.n_waiting -= len(rows) - request.taken
                request.taken = len(rows)

    def retry_after(self) -> int:
        """Seconds, at least 1, after which what waits now will be done."""
        return 1 if math.isnan(self._rate) else max(1, math.ceil(self.n_waiting / self._rate))

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self.is_open or self._queue:
            if not (batch := self._take()):
                self._wake.clear()
                if self.is_open:
                    await self._wake.wait()
                continue
            start = time.perf_counter()
            found = await loop.run_in_executor(self._thread, self._predict, batch)
            seconds = time.perf_counter() - start
            n_rows = sum(end - begin for _, begin, end in batch)
            rate = n_rows / max(seconds, 1e-9)
            self._rate = (
                rate if math.isnan(self._rate) else self._rate + _SMOOTHING * (rate - self._rate)
            )
            if self.observe is not None:
                self.observe(n_rows, seconds)
            for (request, begin, end), rewards in zip(batch, found, strict=True):
                _give(request, begin, end, rewards)

    def _take(self) -> list[tuple[_Request, int, int]]:
        """Parts of requests, `max_batch` rows together, that no longer wait."""
        batch, room = [], self.max_batch
        while self._queue and room:
            request = self._queue[0]
            begin = request.taken
            end = min(len(request.rows), begin + room)
            if request.future.done():  # gone, or failed by an earlier part
                begin = end = len(request.rows)
                self.n_waiting -= end - request.taken
                request.taken = end
            if end > begin:
                batch.append((request, begin, end))
                request.taken = end
                room -= end - begin
                self.n_waiting -= end - begin
            if request.taken == len(request.rows):
                self._queue.popleft()
        return batch

    def _predict(self, batch) -> Sequence[np.ndarray | Exception]:
        """Rewards of each part; a part that fails fails alone."""
        parts = [list(request.rows[begin:end]) for request, begin, end in batch]
        try:
            rewards = self._checked([row for part in parts for row in part])
        except Exception as error:
            if len(parts) == 1:
                return [error]
            return [self._predict([part])[0] for part in batch]
        return np.split(rewards, np.cumsum([len(part) for part in parts])[:-1])

    def _checked(self, rows: list) -> np.ndarray:
        rewards = np.asarray(self.predict(rows), dtype=np.float64)
        if rewards.shape != (len(rows),) or not np.isfinite(rewards).all():
            raise InvalidInputError(
                f"The model gave rewards of shape {rewards.shape} or no finite ones for "
                f"{len(rows)} rows; check the model with RewardScorer."
            )
        return rewards


def _give(request: _Request, begin: int, end: int, rewards) -> None:
    if request.future.done():
        return
    if isinstance(rewards, Exception):
        request.future.set_exception(rewards)
        return
    request.rewards[begin:end] = rewards
    request.missing -= end - begin
    if not request.missing:
        request.future.set_result(request.rewards.tolist())
