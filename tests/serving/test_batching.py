from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from serving.batching import Batcher
from serving.model_manager import load_predictor
from serving.recognition import Predictor

Bytes = npt.NDArray[np.uint8]


class Counting:
    """A predictor that notes how many images it is asked about at a time.

    Args:
        predictor: is asked; None fails instead.
    """

    def __init__(self, predictor: Predictor | None) -> None:
        self._predictor = predictor
        self.batches: list[int] = []

    def probabilities(self, images: Bytes) -> npt.NDArray[np.float32]:
        self.batches.append(len(images))
        if self._predictor is None:
            raise ArithmeticError("no answer")
        return self._predictor.probabilities(images)

    def explain(self, image: Bytes) -> object:
        raise AssertionError("not asked for")


@pytest.fixture(scope="module")
def network(trained_file: Path) -> Predictor:
    return load_predictor(trained_file)


def test_what_is_asked_together_is_answered_by_one_call(network: Predictor, digits: Bytes) -> None:
    predictor = Counting(network)

    async def ask() -> list[npt.NDArray[np.float32]]:
        batcher = Batcher()
        return await asyncio.gather(*(batcher.probabilities(predictor, digit) for digit in digits))

    answers = asyncio.run(ask())
    assert predictor.batches == [40]
    # The products of one image and of forty are summed in another order.
    np.testing.assert_allclose(np.stack(answers), network.probabilities(digits), atol=1e-6)


def test_what_is_asked_alone_is_answered_at_once(network: Predictor, digits: Bytes) -> None:
    predictor = Counting(network)

    async def ask() -> None:
        batcher = Batcher()
        for digit in digits[:3]:
            await batcher.probabilities(predictor, digit)

    asyncio.run(ask())
    assert predictor.batches == [1, 1, 1]


def test_each_predictor_answers_its_own_and_a_failure_is_its_own_too(network: Predictor, digits: Bytes) -> None:
    good, bad = Counting(network), Counting(None)

    async def ask() -> list[object]:
        batcher = Batcher()
        calls = [batcher.probabilities(predictor, digits[0]) for predictor in (good, bad, good)]
        return list(await asyncio.gather(*calls, return_exceptions=True))

    first, failure, last = asyncio.run(ask())
    assert (good.batches, bad.batches) == ([2], [1])
    assert isinstance(failure, ArithmeticError)
    np.testing.assert_array_equal(np.asarray(first), np.asarray(last))


def test_a_client_that_has_gone_disturbs_nobody(network: Predictor, digits: Bytes) -> None:
    async def ask() -> npt.NDArray[np.float32]:
        batcher = Batcher()
        gone, stays = (asyncio.ensure_future(batcher.probabilities(network, digits[0])) for _ in range(2))
        await asyncio.sleep(0)
        gone.cancel()
        return await stays

    assert asyncio.run(ask()).shape == (10,)
