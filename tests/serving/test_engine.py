"""The engine: common batches, a bounded queue, and an end that loses none."""

import asyncio

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skcausalrm.exceptions import InvalidInputError, OverloadedError
from skcausalrm.serving import RewardEngine


def lengths(rows):
    return [float(len(answer)) for _, answer in rows]


def rows_of(sizes):
    return [("", "x" * size) for size in sizes]


def run(main):
    return asyncio.run(asyncio.wait_for(main, 20))


@given(
    st.lists(st.lists(st.integers(1, 50), min_size=1, max_size=20), min_size=1, max_size=12),
    st.integers(1, 30),
)
@settings(max_examples=40, deadline=None)
def test_every_request_gets_its_own_rewards(requests, max_batch):
    batches = []

    def predict(rows):
        batches.append(len(rows))
        return lengths(rows)

    async def main():
        engine = RewardEngine(predict, max_batch=max_batch, max_queue=10_000)
        engine.start()
        found = await asyncio.gather(*(engine.score(rows_of(sizes)) for sizes in requests))
        await engine.close()
        assert engine.n_waiting == 0
        return found

    assert run(main()) == [[float(size) for size in sizes] for sizes in requests]
    assert max(batches) <= max_batch
    assert sum(batches) == sum(map(len, requests))


def test_what_waits_is_scored_together(spy):
    async def main():
        engine = RewardEngine(spy, max_batch=64)
        engine.start()
        spy.gate.clear()
        first = asyncio.create_task(engine.score([("", "first")]))
        await asyncio.sleep(0.05)
        others = [asyncio.create_task(engine.score([("", f"row {i}")])) for i in range(40)]
        await asyncio.sleep(0.05)
        assert engine.n_waiting == 40
        spy.gate.set()
        await asyncio.gather(first, *others)
        await engine.close()

    run(main())
    assert spy.batches == [1, 40]


def test_a_full_queue_refuses_and_says_when_to_come_back(spy):
    async def main():
        engine = RewardEngine(spy, max_batch=2, max_queue=5)
        engine.start()
        await engine.score([("", "warm")])
        spy.gate.clear()
        running = asyncio.create_task(engine.score(rows_of([1, 1])))
        await asyncio.sleep(0.05)
        waiting = asyncio.create_task(engine.score(rows_of([1] * 4)))
        await asyncio.sleep(0.05)
        with pytest.raises(OverloadedError, match=r"4 rows wait and the queue holds 5") as refused:
            await engine.score(rows_of([1, 1]))
        assert refused.value.retry_after >= 1
        spy.gate.set()
        assert len(await running) == 2
        assert len(await waiting) == 4
        assert await engine.score(rows_of([3])) != []
        await engine.close()

    run(main())


def test_an_idle_engine_takes_more_rows_than_the_queue_holds(spy):
    async def main():
        engine = RewardEngine(spy, max_batch=2, max_queue=5)
        engine.start()
        assert len(await engine.score(rows_of([1] * 12))) == 12
        spy.gate.clear()
        running = asyncio.create_task(engine.score(rows_of([1] * 3)))  # one of them waits
        await asyncio.sleep(0.05)
        with pytest.raises(OverloadedError, match="1 rows wait"):
            await engine.score(rows_of([1] * 5))
        filling = asyncio.create_task(engine.score(rows_of([1] * 4)))
        await asyncio.sleep(0.05)
        assert engine.n_waiting == 5
        spy.gate.set()
        assert len(await running) == 3
        assert len(await filling) == 4
        await engine.close()

    run(main())


def test_rewards_and_scores_come_as_pairs():
    async def main():
        engine = RewardEngine(
            lambda rows: np.column_stack([lengths(rows), np.negative(lengths(rows))]), max_batch=2
        )
        engine.start()
        found = await asyncio.gather(engine.score(rows_of([1, 2, 3])), engine.score(rows_of([4])))
        await engine.close()
        return found

    assert run(main()) == [[[1, -1], [2, -2], [3, -3]], [[4, -4]]]


def test_a_request_that_is_gone_leaves_the_queue(spy):
    async def main():
        engine = RewardEngine(spy, max_batch=2, max_queue=10)
        engine.start()
        spy.gate.clear()
        running = asyncio.create_task(engine.score(rows_of([1, 1])))
        await asyncio.sleep(0.05)
        gone = asyncio.create_task(engine.score(rows_of([1] * 8)))
        await asyncio.sleep(0.05)
        gone.cancel()
        await asyncio.sleep(0.05)
        assert engine.n_waiting == 0
        spy.gate.set()
        await running
        await engine.close()

    run(main())
    assert spy.batches == [2]


def test_a_bad_row_fails_its_own_request_alone(spy):
    async def main():
        engine = RewardEngine(spy)
        engine.start()
        spy.gate.clear()
        first = asyncio.create_task(engine.score([("", "first")]))
        await asyncio.sleep(0.05)
        tasks = [asyncio.create_task(engine.score([("", text)])) for text in ("a", "poison", "ab")]
        await asyncio.sleep(0.05)
        spy.gate.set()
        await first
        found = await asyncio.gather(*tasks, return_exceptions=True)
        await engine.close()
        return found

    good, bad, also_good = run(main())
    assert isinstance(bad, RuntimeError)
    assert len(good) == len(also_good) == 1


@pytest.mark.parametrize("wrong", [[np.nan], [0.1, 0.2], np.zeros((1, 1))])
def test_rewards_that_are_none_are_an_error(wrong):
    async def main():
        engine = RewardEngine(lambda rows: wrong)
        engine.start()
        with pytest.raises(InvalidInputError):
            await engine.score([("", "a")])
        await engine.close()

    run(main())


def test_closing_finishes_what_was_taken_and_takes_no_more(spy):
    async def main():
        engine = RewardEngine(spy, max_batch=2)
        engine.start()
        spy.gate.clear()
        taken = [asyncio.create_task(engine.score(rows_of([1, 2, 3]))) for _ in range(3)]
        await asyncio.sleep(0.05)
        closing = asyncio.create_task(engine.close())
        await asyncio.sleep(0.05)
        with pytest.raises(OverloadedError, match="stopping"):
            await engine.score([("", "late")])
        spy.gate.set()
        await closing
        return await asyncio.gather(*taken)

    assert [len(found) for found in run(main())] == [3, 3, 3]
