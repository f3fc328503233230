from __future__ import annotations

import pytest

from anyservice_core.plane.engines import EngineState, Observed
from anyservice_core.plane.engines.verdict import SILENCE_S, Seen, judge

ADDRESS = ("127.0.0.1", 8000)
RUNNING = Observed(EngineState.RUNNING, ADDRESS)
IMPORTING = Observed(EngineState.STARTING, message="importing")


@pytest.mark.parametrize(
    ("seen", "state", "says"),
    [
        (Seen(known=False), EngineState.GONE, "nothing runs"),
        (Seen(alive=False, death="died; tail"), EngineState.GONE, "died; tail"),
        (Seen(alive=False, failure="no module"), EngineState.FAILED, "no module"),
        (Seen(alive=True, failure="no module", answer=RUNNING), EngineState.FAILED, "no module"),
        (Seen(answer=RUNNING), EngineState.RUNNING, ""),
        (Seen(answer=IMPORTING, age_s=299.0), EngineState.STARTING, "importing"),
        (Seen(answer=IMPORTING, age_s=301.0), EngineState.FAILED, "300 s; last word: importing"),
        (Seen(last=IMPORTING, age_s=301.0), EngineState.FAILED, "last word: importing"),
        (Seen(address=ADDRESS, answer=RUNNING, age_s=1e6), EngineState.RUNNING, ""),
        (Seen(), EngineState.STARTING, "starting its host"),
        (Seen(last=IMPORTING, silent_s=1e3, age_s=100.0), EngineState.STARTING, "importing"),
        (Seen(address=ADDRESS, silent_s=SILENCE_S - 1), EngineState.RUNNING, ""),
        (Seen(address=ADDRESS, last=RUNNING, silent_s=SILENCE_S - 1), EngineState.RUNNING, ""),
        (
            Seen(address=ADDRESS, last=RUNNING, silent_s=SILENCE_S + 1),
            EngineState.UNHEALTHY,
            "not answered for 21 s",
        ),
    ],
)
def test_table(seen: Seen, state: EngineState, says: str) -> None:
    """Each line of the table at the head of the module, and its edges."""
    observed = judge(seen)
    assert observed.state is state
    assert says in observed.message


def test_a_silent_host_keeps_its_address() -> None:
    """A host that is too busy to answer must not lose its place in the router."""
    assert judge(Seen(address=ADDRESS, silent_s=1.0)).address == ADDRESS
    assert judge(Seen(address=ADDRESS, silent_s=1e6)).address == ADDRESS
