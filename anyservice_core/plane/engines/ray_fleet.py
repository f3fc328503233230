"""Which applications a version's Serve instance shall have while the version is updated in place. Pure.

A generation is a *set* of applications. Serve keeps the generations apart by the names of applications, so
a coming set runs under names with a mark, without a route, until all of it is well. Then one configuration
takes the routes from the old set and gives them to the new one. Serve's controller does both within one
step and its proxy learns of them together, so no request finds no route, and none waits for a replica to
start. Why not Serve's own rolling update, with ``max_surge_percent``: that replaces deployment by deployment,
so new code calls old code for a while, a deployment that was renamed is taken down before its successor is
up, and what fails half way has already ended half of what served.

    set 1 serves, "default"   ──►   set 2 comes up, "default~"   ──►   "default~" has the routes   ──►   set 1 goes

The old set stays, without routes, until its generation is wanted no more. Then a single application remains
under its marked name, and the next update takes the plain one. Where there are several, they may call
each other by name, so such a set moves once more, to the plain names: in the same way, new replicas first.
A handle that an application holds works all the while; what Serve cannot do is to look a name up while it
builds what shall have that name, in this update as in any of its own.

Only the newest set that is well serves; a set that fails is dropped, and whatever served before it still
does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from .base import EngineState
from .ray_status import AppReport, overall

__all__ = ["AppSet", "Fleet", "at_rest", "configuration", "look", "settled", "standing", "want"]

PLAIN, MARK = "", "~"

App: TypeAlias = Mapping[str, Any]
Key: TypeAlias = tuple[int, str]


@dataclass(frozen=True)
class AppSet:
    """All applications of a generation, under names with ``mark`` at their end, and how they are doing.

    ``served`` says that requests went to it at some time; ``deployments`` are their names by application.
    """

    generation: int
    mark: str
    apps: tuple[App, ...] = field(repr=False)
    state: EngineState = EngineState.STARTING
    message: str = ""
    served: bool = False
    deployments: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        return (self.generation, self.mark)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(_name(app) + self.mark for app in self.apps)

    @property
    def routes(self) -> dict[str, str]:
        """Which application answers below which prefix, when this set serves."""
        routed = ((app.get("route_prefix", "/"), _name(app) + self.mark) for app in self.apps)
        return {str(prefix): name for prefix, name in routed if prefix is not None}


@dataclass(frozen=True)
class Fleet:
    """The sets there are, oldest first; which one has the routes, and whether the proxy is known to obey."""

    sets: tuple[AppSet, ...] = ()
    serving: Key | None = None
    confirmed: bool = False
    seen: frozenset[int] = frozenset()  # generations that had a set; none gets a second start
    stuck: frozenset[int] = frozenset()  # generations that stay under marked names

    def find(self, key: Key | None) -> AppSet | None:
        return next((one for one in self.sets if one.key == key), None)


# ── what there shall be ─────────────────────────────────────────────────────


def want(fleet: Fleet, wanted: Mapping[int, Sequence[App]]) -> Fleet:
    """Drop the sets of generations that are not wanted any more, and add one for each that is new."""
    fleet = _with(fleet, [one for one in fleet.sets if one.generation in wanted])
    fleet = replace(fleet, seen=fleet.seen & set(wanted), stuck=fleet.stuck & set(wanted))
    for generation in sorted(set(wanted) - fleet.seen):
        fleet = _add(fleet, generation, tuple(wanted[generation]))
    return _move_to_plain_names(fleet)


def _add(fleet: Fleet, generation: int, apps: tuple[App, ...]) -> Fleet:
    """Add a set under the names that the serving one does not have; whoever has them gives them up."""
    serving = fleet.find(fleet.serving)
    mark = MARK if serving and serving.mark == PLAIN else PLAIN
    others = [one for one in fleet.sets if one.mark != mark]
    fleet = replace(fleet, seen=fleet.seen | {generation})
    return _with(fleet, [*others, AppSet(generation, mark, apps)])


def _move_to_plain_names(fleet: Fleet) -> Fleet:
    """Take the next step of that move, if the serving set is settled and may make it."""
    serving = fleet.find(fleet.serving)
    if serving is None or not (fleet.confirmed and serving.served):
        return fleet
    former = [one for one in _before(fleet, serving) if one.generation == serving.generation]
    if former:
        return _with(fleet, [one for one in fleet.sets if one not in former])
    by_name = len(serving.apps) > 1 and serving.generation not in fleet.stuck
    if serving.mark and by_name and len(fleet.sets) == 1:
        plain = AppSet(serving.generation, PLAIN, tuple(_surging(app, serving) for app in serving.apps))
        return _with(fleet, [serving, plain])
    return fleet


def _before(fleet: Fleet, one: AppSet) -> tuple[AppSet, ...]:
    return fleet.sets[: fleet.sets.index(one)]


def _surging(app: App, serving: AppSet) -> App:
    """Let Serve start new replicas first where the plain name still has old ones that others call."""
    named = serving.deployments.get(_name(app) + serving.mark, ())
    given = {str(entry["name"]): entry for entry in app.get("deployments") or []}
    chosen = {name: {"name": name, "max_surge_percent": 100} for name in named}
    merged = [{**chosen.get(name, {}), **given.get(name, {})} for name in {**chosen, **given}]
    return {**app, "deployments": merged}


def _with(fleet: Fleet, sets: Sequence[AppSet]) -> Fleet:
    """Have these sets; if the serving one is not among them, the newest that served takes its place."""
    if any(one.key == fleet.serving for one in sets):
        return replace(fleet, sets=tuple(sets))
    heirs = [one for one in sets if one.served] or sets
    return replace(fleet, sets=tuple(sets), serving=heirs[-1].key if heirs else None, confirmed=False)


def configuration(fleet: Fleet) -> list[dict[str, Any]]:
    """Give the applications to deploy: all of them, since Serve deletes what is left out."""
    return [
        {
            **app,
            "name": _name(app) + one.mark,
            "route_prefix": app.get("route_prefix", "/") if one.key == fleet.serving else None,
        }
        for one in fleet.sets
        for app in one.apps
    ]


# ── what there is ───────────────────────────────────────────────────────────


def look(
    fleet: Fleet, reports: Mapping[str, AppReport], routes: Mapping[str, str]
) -> tuple[Fleet, dict[int, str]]:
    """Take over what Serve says, and give the reasons of the generations that will not come up.

    ``routes`` says which application the proxy sends which prefix to.
    """
    sets = [_seen(one, reports) for one in fleet.sets]
    serving = next((one for one in sets if one.key == fleet.serving), None)
    confirmed = serving is not None and all(routes.get(p) == name for p, name in serving.routes.items())
    if serving and confirmed and serving.state is EngineState.RUNNING:
        sets = [replace(one, served=True) if one is serving else one for one in sets]
    failed = [one for one in sets if one.state is EngineState.FAILED]
    kept = [one for one in sets if one not in failed]
    hopeless = {one.generation: one.message for one in failed if not _has_another(one, kept)}
    stuck = fleet.stuck | {one.generation for one in failed if _has_another(one, kept)}
    fleet = _with(replace(fleet, confirmed=confirmed, stuck=stuck), kept)
    return _promote(fleet), hopeless


def _seen(one: AppSet, reports: Mapping[str, AppReport]) -> AppSet:
    mine = {name: reports[name] for name in one.names if name in reports}
    state, message = overall(mine, one.names)
    if one.served and state is EngineState.STARTING:
        state, message = (
            EngineState.RUNNING,
            "",
        )  # deployed once more as it is, which leaves its replicas alone
    if one.served and state is EngineState.FAILED:
        state = EngineState.UNHEALTHY  # what served once may serve again
    named = {name: report.names for name, report in mine.items()}
    return replace(one, state=state, message=message, deployments=named)


def _has_another(one: AppSet, others: Sequence[AppSet]) -> bool:
    return any(other.generation == one.generation for other in others)


def _promote(fleet: Fleet) -> Fleet:
    """Give the routes to the newest set that is well, if that is newer than the one that has them."""
    serving = fleet.find(fleet.serving)
    newer = fleet.sets[fleet.sets.index(serving) + 1 :] if serving else fleet.sets
    well = [one for one in newer if one.state is EngineState.RUNNING]
    return replace(fleet, serving=well[-1].key, confirmed=False) if well else fleet


def standing(fleet: Fleet, generation: int) -> tuple[EngineState, str]:
    """Say how a generation is doing: RUNNING only once requests reach it."""
    mine = [one for one in fleet.sets if one.generation == generation]
    if not mine:
        return EngineState.STARTING, "waiting for its turn"
    one = next((one for one in mine if one.key == fleet.serving), mine[-1])
    if one.state is EngineState.RUNNING and not one.served:
        return EngineState.STARTING, "waiting for Serve's HTTP proxy"
    return one.state, one.message


def at_rest(fleet: Fleet) -> bool:
    """Say whether nothing is about to change by itself."""
    return fleet.confirmed and all(one.served and one.state is EngineState.RUNNING for one in fleet.sets)


def settled(fleet: Fleet, reports: Mapping[str, AppReport]) -> bool:
    """Say whether every application has the replicas that it was last told to have, and no others any more.

    Serve calls one RUNNING only then: from the moment that it is told otherwise it is DEPLOYING.
    """
    names = {name for one in fleet.sets for name in one.names}
    return bool(names) and all(name in reports and reports[name].status == "RUNNING" for name in names)


def _name(app: App) -> str:
    return str(app.get("name") or "default")
