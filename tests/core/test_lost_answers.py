"""Every kind of deploy, with its answer or itself lost on the way, on a plane, in both colours.

What may not happen is that a version is started twice, that a wish is lost, or that what a person did meanwhile is undone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest

from anyservice_core import ConflictError, ServiceConfig, ServiceState
from anyservice_core.testing import FakePlane

PUT = "PUT /api/v2/services-v2/apply"


def config(version: str | None = None, code: str = "main:app", **fields: Any) -> ServiceConfig:
    return ServiceConfig(name="rec", version_name=version, applications=[{"import_path": code}], **fields)


V1, V2 = config("v1"), config("v2", "main:new")


@dataclass
class Stage:
    """A plane, and calls on it in one of the colours."""

    plane: FakePlane
    colour: str
    told: list[Any] = field(default_factory=list)
    meanwhile: Callable[[], Any] | None = None

    def call(self, name: str, *args: Any, **options: Any) -> Any:
        if self.colour == "sync":
            with self.plane.client(on_report=self.hear) as client:
                return getattr(client, name)(*args, **options)
        return anyio.run(self._later, name, args, options)

    async def _later(self, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        async with self.plane.async_client(on_report=self.hear) as client:
            return await getattr(client, name)(*args, **options)

    def hear(self, event: Any) -> None:
        """Someone else acts when the answer has not come."""
        self.told.append(str(event))
        if self.meanwhile and "The deploy failed" in self.told[-1]:
            act, self.meanwhile = self.meanwhile, None
            act()

    def first(self) -> None:
        self.call("deploy", V1)
        self.call("wait", "rec")

    def canary(self, percent: int = 10) -> None:
        self.first()
        self.call("deploy", V2, canary_percent=percent)
        self.call("wait", "rec", version="v2", canary_weight=percent)

    def terminated(self) -> None:
        self.first()
        self.call("terminate", "rec")
        self.call("wait", "rec", state="TERMINATED")

    @property
    def puts(self) -> int:
        return self.plane.requests.count(PUT)

    @property
    def started(self) -> int:
        return len(self.plane.engine.specs)


@pytest.fixture(params=["sync", "async"])
def stage(request):
    with FakePlane() as plane:
        yield Stage(plane, request.param)


@dataclass(frozen=True)
class Case:
    """What is there ``before``, what is done, how many versions that may start, and what must come of it."""

    says: str
    before: Callable[[Stage], None]
    act: Callable[[Stage], Any]
    starts: int
    reached: Callable[[Any], bool]


def nothing(_: Stage) -> None:
    """No service yet."""


def promoted(service: Any) -> bool:
    return service.primary.name != "v1" and service.canary is None


def at(percent: int) -> Callable[[Any], bool]:
    return lambda service: service.canary is not None and service.canary.weight == percent


def alone(service: Any) -> bool:
    return service.state is ServiceState.RUNNING and service.canary is None


def asked(cfg: ServiceConfig, percent: int | None = None) -> Callable[[Stage], Any]:
    return lambda stage: stage.call("deploy", cfg, canary_percent=percent)


def in_place(stage: Stage) -> None:
    stage.call("deploy", config(code="main:changed"), in_place=True)


def changed(service: Any) -> bool:
    return service.primary.name == "v1" and "main:changed" in str(service.primary.spec)


CASES = [
    Case("new", nothing, asked(V1), 1, alone),
    Case("new, unnamed", nothing, asked(config()), 1, alone),
    Case("new, as a canary", nothing, asked(V1, 10), 1, alone),
    Case("update", Stage.first, asked(V2), 1, promoted),
    Case("update, unnamed", Stage.first, asked(config(None, "main:new")), 1, promoted),
    Case("the same again, unnamed", Stage.first, asked(config()), 1, promoted),
    Case("canary", Stage.first, asked(V2, 10), 1, at(10)),
    Case("canary at nothing", Stage.first, asked(V2, 0), 1, at(0)),
    Case("canary, unnamed", Stage.first, asked(config(None, "main:new"), 10), 1, at(10)),
    Case("canary for a canary", Stage.canary, asked(config("v3", "main:b"), 20), 1, at(20)),
    Case("weight", Stage.canary, asked(V2, 50), 0, at(50)),
    Case("weight, unnamed", Stage.canary, asked(config(None, "main:new"), 50), 0, at(50)),
    Case("shift", Stage.canary, lambda stage: stage.call("shift", "rec", canary_percent=50), 0, at(50)),
    Case("shift down", Stage.canary, lambda stage: stage.call("shift", "rec", canary_percent=5), 0, at(5)),
    Case("promote", Stage.canary, lambda stage: stage.call("shift", "rec", canary_percent=100), 0, promoted),
    Case("let a canary go", Stage.canary, asked(V2), 0, promoted),
    Case("in place", Stage.first, in_place, 1, changed),
    Case("restart", Stage.terminated, asked(V1), 1, alone),
    Case("restart, unnamed", Stage.terminated, asked(config()), 1, alone),
    Case("restart with another version", Stage.terminated, asked(V2, 10), 1, alone),
]


@pytest.mark.parametrize("fault", ["drop_answer", "lose_request"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.says)
def test_a_deploy_happens_once(stage, case, fault):
    """What arrived is adopted, what was lost is sent again; either way it is as if nothing had been lost."""
    case.before(stage)
    puts, started = stage.puts, stage.started
    getattr(stage.plane, fault)(PUT)
    case.act(stage)
    assert stage.puts - puts == (1 if fault == "drop_answer" else 2)
    stage.plane.advance(150)
    assert case.reached(stage.plane.service("rec")), stage.plane.service("rec")
    assert stage.started - started == case.starts


@pytest.mark.parametrize("patience", [1, 3])
def test_several_losses_in_a_row_are_one_deploy(stage, patience):
    """Also when the looks between them are lost."""
    stage.first()
    for _ in range(patience):
        stage.plane.drop_answer("GET /api/v2/services-v2/service2_")
        stage.plane.lose_request(PUT)
    stage.plane.drop_answer(PUT)
    made = stage.call("deploy", V2, canary_percent=10)
    assert made.version_name == "v2"
    assert made.version_id == stage.plane.version_id("v2")
    assert stage.started == 2


def test_a_canary_that_has_no_weight_yet_is_adopted(stage):
    """It is seen at 0 on its way to 10, since it has to start first."""
    stage.first()
    stage.plane.engine.start_s = 60
    stage.plane.drop_answer(PUT)
    made = stage.call("deploy", V2, canary_percent=10)
    assert stage.plane.service("rec").canary.weight == 0
    assert (made.version_name, stage.puts) == ("v2", 2)
    assert "rec: version v2 is there already, nothing sent" in stage.told


def test_a_run_again_adopts_a_canary_on_its_way(stage):
    """By another process, after a crash: the weight that it is meant to have counts, not the one that it has."""
    stage.first()
    stage.plane.engine.start_s = 60
    first = stage.call("deploy", V2, canary_percent=10)
    again = stage.call("deploy", V2, canary_percent=10)
    assert (again, again.version_id, stage.puts) == (first, first.version_id, 2)


# ── when somebody else acts meanwhile ──


@pytest.mark.parametrize("fault", ["drop_answer", "lose_request"])
def test_a_service_that_was_terminated_meanwhile_stays_so(stage, fault):
    """Sending again would start it anew."""
    stage.first()
    getattr(stage.plane, fault)(PUT)
    stage.meanwhile = lambda: stage.plane.client().terminate("rec")
    with pytest.raises(ConflictError, match="it was terminated, so it was not sent again"):
        stage.call("deploy", V2, canary_percent=10)
    stage.plane.advance(60)
    assert stage.plane.service("rec").state is ServiceState.TERMINATED


@pytest.mark.parametrize("fault", ["drop_answer", "lose_request"])
def test_a_newer_deploy_is_not_replaced(stage, fault):
    """Ours may have been there, and been replaced; nobody can say that it should come back."""
    stage.first()
    getattr(stage.plane, fault)(PUT)
    stage.meanwhile = lambda: stage.plane.client().deploy(config("v3", "main:b"), canary_percent=30)
    with pytest.raises(ConflictError, match="version 'v3' was deployed"):
        stage.call("deploy", V2, canary_percent=10)
    assert stage.plane.service("rec").canary.name == "v3"


@pytest.mark.parametrize("fault", ["drop_answer", "lose_request"])
@pytest.mark.parametrize("call", ["deploy", "shift"])
def test_a_canary_that_was_taken_back_meanwhile_is_not_moved(stage, fault, call):
    """To a server, moving what is not there is deploying it."""
    stage.canary()
    getattr(stage.plane, fault)(PUT)
    stage.meanwhile = lambda: stage.plane.client().rollback("rec")
    args = (V2,) if call == "deploy" else ("rec",)
    with pytest.raises(ConflictError, match=r"taken back|replaced"):
        stage.call(call, *args, canary_percent=50)
    stage.plane.advance(60)
    assert stage.plane.service("rec").canary is None
    assert stage.plane.service("rec").primary.name == "v1"
    assert stage.started == 2


def test_a_service_of_our_name_that_somebody_made_is_not_updated(stage):
    """Without a weight, that would be an update of what is theirs."""
    stage.plane.lose_request(PUT)
    stage.meanwhile = lambda: stage.plane.client().deploy(config("theirs", "main:b"))
    with pytest.raises(ConflictError, match="version 'theirs' was deployed"):
        stage.call("deploy", V1)
    assert stage.plane.service("rec").primary.name == "theirs"


def test_another_s_weight_is_not_taken_for_ours(stage):
    """The wish that was lost is sent again, since the canary is meant to go elsewhere."""
    stage.canary()
    stage.plane.lose_request(PUT)
    stage.meanwhile = lambda: stage.plane.client().shift("rec", canary_percent=20)
    stage.call("shift", "rec", canary_percent=50)
    stage.plane.advance(60)
    assert stage.plane.service("rec").canary.weight == 50
