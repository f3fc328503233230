"""What holds for every test."""

from __future__ import annotations

import signal

import pytest

from tests.clock import Clock

# A shell starts what it puts in the background with SIGINT ignored, and all children inherit that. The
# programs that tests interrupt must start with it as a terminal would give it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def clock() -> Clock:
    return Clock()
