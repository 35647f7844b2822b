"""Rows of concurrent requests in common batches, a bounded queue, and a graceful shutdown."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from ..exceptions import InvalidInputError, OverloadedError

# Weight of the last batch in the running mean of rows per second, which sets Retry-After.
_SMOOTHING = 0.2


class _Request:
    """Rows that arrived together; the future resolves when all of them have a result."""

    def __init__(self, rows: Sequence[Any]):
        self.rows = rows
        self.results: list[Any] = [None] * len(rows)
        self.taken, self.missing = 0, len(rows)
        self.future: asyncio.Future = asyncio.get_running_loop().create_future()

    def resolve(self, begin: int, end: int, results: np.ndarray | Exception) -> None:
        """Enter the results of rows `begin` to `end`, or fail with their exception."""
        if self.future.done():
            return
        if isinstance(results, Exception):
            self.future.set_exception(results)
            return
        self.results[begin:end] = results.tolist()
        self.missing -= end - begin
        if not self.missing:
            self.future.set_result(self.results)


class RewardEngine:
    """Score rows of concurrent requests in common batches.

    One thread runs the model, because several would compete for the same cores. Whenever it is
    free it takes the rows that wait, up to `max_batch` in order of arrival. Under load batches are
    full; without load nobody waits.

    Parameters
    ----------
    predict : callable
        Function from a list of (prompt, completion) rows to rewards, shape (n,), or to rewards and
        scores, shape (n, 2).
    max_batch : int, default=128
        Maximum rows in a batch.
    max_queue : int, default=1024
        Maximum rows that wait. If rows wait and a request would exceed it, the request is refused
        at once. An idle engine takes a request of any size, because later it would fit no better.
    observe : callable, default=None
        Function called with the rows and seconds of each batch.

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
        """Start to accept requests. Call it from the event loop."""
        self.is_open = True
        self._wake = asyncio.Event()
        self._worker = asyncio.create_task(self._work())

    async def close(self) -> None:
        """Refuse new requests, finish the accepted ones, and stop."""
        self.is_open = False
        if self._worker is not None:
            self._wake.set()
            await self._worker
        self._thread.shutdown()

    async def score(self, rows: Sequence[Any]) -> list[Any]:
        """Return the results of rows, in their order.

        Parameters
        ----------
        rows : sequence of (prompt, completion)
            Rows to score.

        Returns
        -------
        list
            A reward per row, or [reward, score] if `predict` returns both.

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
            if request.taken < len(rows):  # the client has gone, or an earlier part failed
                self.n_waiting -= len(rows) - request.taken
                self._queue.remove(request)

    def retry_after(self) -> int:
        """Return the time that the waiting rows will take.

        Returns
        -------
        int
            Seconds, at least 1.
        """
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
            for (request, begin, end), results in zip(batch, found, strict=True):
                request.resolve(begin, end, results)
            await asyncio.sleep(0)  # requests that failed leave the queue

    def _take(self) -> list[tuple[_Request, int, int]]:
        """Take parts of waiting requests, together at most `max_batch` rows."""
        batch, room = [], self.max_batch
        while self._queue and room:
            request = self._queue[0]
            begin, end = request.taken, min(len(request.rows), request.taken + room)
            batch.append((request, begin, end))
            request.taken = end
            room -= end - begin
            self.n_waiting -= end - begin
            if end == len(request.rows):
                self._queue.popleft()
        return batch

    def _predict(self, batch) -> Sequence[np.ndarray | Exception]:
        """Return the results of each part, or its exception: a bad part fails alone."""
        parts = [list(request.rows[begin:end]) for request, begin, end in batch]
        try:
            results = self._checked([row for part in parts for row in part])
        except Exception as error:
            if len(parts) == 1:
                return [error]
            return [self._predict([part])[0] for part in batch]
        return np.split(results, np.cumsum([len(part) for part in parts])[:-1])

    def _checked(self, rows: list) -> np.ndarray:
        results = np.asarray(self.predict(rows), dtype=np.float64)
        expected = (len(rows),), (len(rows), 2)
        if results.shape not in expected or not np.isfinite(results).all():
            raise InvalidInputError(
                f"The model returned rewards of shape {results.shape} for {len(rows)} rows, or "
                f"some that are not finite; check the model with RewardScorer."
            )
        return results
