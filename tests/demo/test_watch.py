"""What is claimed of weights from looking now and then."""

from dags_examples.demo.watch import Held, Ledger, Look


def look(weights, *, primary="v1", canary=None):
    return Look("RUNNING", weights, dict.fromkeys(weights, "RUNNING"), primary, canary)


def test_weights_are_held_from_first_to_last_look():
    """Nothing is claimed of the time between two looks that differ."""
    ledger = Ledger()
    for now, weights in (
        (0, {"v1": 100}),
        (1, {"v1": 100}),
        (2, {"v1": 90, "v2": 10}),
        (3, {"v1": 90, "v2": 10}),
    ):
        ledger.enter(look(weights), now)
    assert ledger.held == [Held({"v1": 100}, 0, 1), Held({"v1": 90, "v2": 10}, 2, 3)]


def test_what_changed_is_told_once():
    """The same look twice is no news."""
    ledger = Ledger()
    assert ledger.enter(look({"v1": 100}), 0) == ["v1 is running", "v1 is the primary version"]
    assert ledger.enter(look({"v1": 100}), 1) == []


def test_promotion_and_return_are_told_apart():
    """A canary that becomes primary won; one that vanishes was taken back."""
    won, lost = Ledger(), Ledger()
    for ledger in (won, lost):
        ledger.enter(look({"v1": 90, "v2": 10}, canary="v2"), 0)
    assert won.enter(look({"v2": 100}, primary="v2"), 1) == ["v2 is the primary version"]
    assert lost.enter(look({"v1": 100}), 1) == ["v2 was taken back"]
