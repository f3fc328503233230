from __future__ import annotations

import asyncio
import time

import pytest

from airflow_provider.aside import aside

pytestmark = pytest.mark.airflow


def test_a_cancellation_keeps_its_words():
    """Airflow tells a kill from a shutdown by them, so a kill in the middle of a blocking call is still a kill."""

    async def main():
        task = asyncio.ensure_future(aside(time.sleep, 0.05))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel("a person did it")
        try:
            await task
        except asyncio.CancelledError as error:
            return error.args

    assert asyncio.run(main()) == ("a person did it",)


def test_what_is_called_gives_and_raises():
    """It is a call like any other."""
    assert asyncio.run(aside(int, "7")) == 7
    with pytest.raises(ValueError, match="x"):
        asyncio.run(aside(int, "x"))
