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


class CountingPredictor:
    """A predictor that records the number of images of each call.

    Args:
        predictor: makes the predictions; with None, each call raises an error.
    """

    def __init__(self, predictor: Predictor | None) -> None:
        self._predictor = predictor
        self.batches: list[int] = []

    def probabilities(self, images: Bytes) -> npt.NDArray[np.float32]:
        self.batches.append(len(images))
        if self._predictor is None:
            raise ArithmeticError("overflow")
        return self._predictor.probabilities(images)

    def explain(self, image: Bytes) -> object:
        raise AssertionError("not expected")


@pytest.fixture(scope="module")
def network(trained_file: Path) -> Predictor:
    return load_predictor(trained_file)


def test_concurrent_requests_are_predicted_by_one_call(network: Predictor, digits: Bytes) -> None:
    predictor = CountingPredictor(network)

    async def predict() -> list[npt.NDArray[np.float32]]:
        batcher = Batcher()
        return await asyncio.gather(*(batcher.probabilities(predictor, digit) for digit in digits))

    probabilities = asyncio.run(predict())
    assert predictor.batches == [40]
    # The sums of a product with one image and with forty run in different orders.
    np.testing.assert_allclose(np.stack(probabilities), network.probabilities(digits), atol=1e-6)


def test_consecutive_requests_are_predicted_one_by_one(network: Predictor, digits: Bytes) -> None:
    predictor = CountingPredictor(network)

    async def predict() -> None:
        batcher = Batcher()
        for digit in digits[:3]:
            await batcher.probabilities(predictor, digit)

    asyncio.run(predict())
    assert predictor.batches == [1, 1, 1]


def test_a_failure_of_one_predictor_reaches_only_its_own_requests(network: Predictor, digits: Bytes) -> None:
    good, bad = CountingPredictor(network), CountingPredictor(None)

    async def predict() -> list[object]:
        batcher = Batcher()
        calls = [batcher.probabilities(predictor, digits[0]) for predictor in (good, bad, good)]
        return list(await asyncio.gather(*calls, return_exceptions=True))

    first, failure, last = asyncio.run(predict())
    assert (good.batches, bad.batches) == ([2], [1])
    assert isinstance(failure, ArithmeticError)
    np.testing.assert_array_equal(np.asarray(first), np.asarray(last))


def test_a_cancelled_request_does_not_disturb_its_batch(network: Predictor, digits: Bytes) -> None:
    async def predict() -> npt.NDArray[np.float32]:
        batcher = Batcher()
        cancelled, remaining = (asyncio.ensure_future(batcher.probabilities(network, digits[0])) for _ in range(2))
        await asyncio.sleep(0)
        cancelled.cancel()
        return await remaining

    assert asyncio.run(predict()).shape == (10,)
