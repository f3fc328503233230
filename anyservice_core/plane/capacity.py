"""How much of a version runs while traffic moves: ``max_surge_percent``, kept on both sides of a rollout.

Every version has a *wanted* capacity, in percent of the replicas that its deployments ask for, and one that *is
there*, as its engine sees it: a number when it is settled, and while it changes the least and the most that it may
be. It can bear no more than the least of all these, and takes up to the most. A surge of S allows for 100 + S
percent of one version in all, so the traffic moves in rounds, each step of which waits to be seen:

    primary 100, canary 0          the canary may have what is left: S, or its goal if that is less
    canary there at S              its weight goes to S
    the router obeys               the primary keeps the capacity of its share: 100 - S
    primary there at 100 - S       there is room for the next round

and back in the same way, with the roles exchanged. What always holds while a rollout is paced so:

* a version that gets more traffic has the capacity for it, seen ready;
* neither has less capacity wanted than it has traffic;
* both together, wanted or there, never have more than 100 + S;
* once the versions do as they are told, the goal is reached, after at most 100 / S rounds.

Where they meet the ground:

* A surge of 100, or none given, is room for two whole versions: both run with all that they ask for, nothing is
  scaled, and weights move at once.
* A surge below 10 is taken as 10, the least step. With 0 nothing could move at all, and with 1 a rollout would
  take a hundred rounds, each of them as long as a replica takes to start.
* A version that runs has a replica of each deployment at least, whatever its share: 1 is the least percent that
  is asked for. Serve rounds to whole replicas, so the bound holds to within one replica of each deployment.
* A surge goes for the whole rollout, until another is given with a later weight.
* At 100 the old version keeps what it has until it ends. So does what was left behind by another rollout, whose
  capacity counts until it is gone.
* A canary that does not serve loses its traffic at once, whatever the primary has by then; the primary is asked
  for all, and the canary begins anew with what is left.
* An engine that cannot tell (``process``: a version is one process) has any capacity at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["LEAST", "LEAST_STEP", "WHOLE", "Side", "Split", "alone", "pace", "room"]

WHOLE: Final = 100
LEAST: Final = 1
LEAST_STEP: Final = 10


@dataclass(frozen=True)
class Side:
    """One version's capacity in percent: what is wanted, and the least and the most that may be there.

    ``there`` is ``None`` where nobody can tell, so that what is wanted counts.
    """

    wanted: int
    there: tuple[int, int] | None = None

    @property
    def ready(self) -> int:
        """What it can bear."""
        return min(self.wanted, *(self.there or ()), WHOLE)

    @property
    def taken(self) -> int:
        """What it may take up."""
        return max(self.wanted, *(self.there or ()), 0)


@dataclass(frozen=True)
class Split:
    """What both versions shall have: capacity, and of the traffic ``weight`` percent for the canary."""

    primary: int
    canary: int
    weight: int


def room(surge: int | None) -> int | None:
    """Give the percent by which a surge lets both versions exceed one; ``None`` for room for two."""
    return None if surge is None or surge >= WHOLE else max(surge, LEAST_STEP)


def alone(goal: int, surge: int | None, leaving: int = 0) -> Split:
    """Give what there shall be while the canary, which shall come to ``goal`` percent, serves nobody."""
    free = room(surge)
    if free is None:
        return Split(WHOLE, WHOLE, 0)
    return Split(WHOLE, max(LEAST, min(goal, free - leaving)), 0)


def pace(
    primary: Side,
    canary: Side,
    *,
    weight: int,
    goal: int,
    surge: int | None,
    obeyed: bool = True,
    leaving: int = 0,
) -> Split:
    """Take a step towards ``goal`` percent of the traffic for a canary that has ``weight``.

    ``obeyed``: the router is known to split the traffic so by now. ``leaving`` is the capacity of versions that
    are on their way out.
    """
    free = room(surge)
    up = goal >= weight
    if free is None:
        bearable = canary.ready if up else WHOLE - primary.ready
        moved = max(weight, min(goal, bearable)) if up else min(weight, max(goal, bearable))
        return Split(WHOLE, WHOLE, moved)
    most = WHOLE + free - leaving
    if up:
        moved, grown, shrunk = _round(canary, primary, weight, goal, most, obeyed=obeyed)
        return Split(shrunk, grown, moved)
    moved, grown, shrunk = _round(primary, canary, WHOLE - weight, WHOLE - goal, most, obeyed=obeyed)
    return Split(grown, shrunk, WHOLE - moved)


def _round(
    grows: Side, shrinks: Side, share: int, aim: int, most: int, *, obeyed: bool
) -> tuple[int, int, int]:
    """Give the share of the one that gets more, its capacity and the other's."""
    wanted = max(share, LEAST, min(aim, most - shrinks.taken))
    moved = (
        max(share, min(aim, wanted)) if grows.ready >= wanted else share
    )  # whole steps, so no weights in between
    settled = obeyed and moved == share < WHOLE
    return moved, wanted, max(LEAST, WHOLE - share) if settled else shrinks.wanted
