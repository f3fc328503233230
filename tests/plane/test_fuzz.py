"""Requests that a machine makes up from the plane's own description of its API: no fault, and no answer but those described.

Each endpoint is asked what fits its description and what does not, on a plane with services in several states. What
is asked is the same at every run. For a longer hunt, ANYSERVICE_FUZZ says how many requests of each kind to make.
"""

from __future__ import annotations

import os
import zlib
from typing import Any

import pytest

pytest.importorskip("schemathesis")

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from anyservice_core.plane import catalog
from anyservice_core.plane.app import application
from anyservice_core.testing import TOKEN, FakePlane
from tests.plane.api import body

EXAMPLES = int(os.environ.get("ANYSERVICE_FUZZ", "4"))
BEARER = {"Authorization": f"Bearer {TOKEN}"}
# What they take has rules that no schema can say: what adds up, what fits the machine, what was uploaded.
WITH_RULES = {
    "PUT /api/v2/services-v2/apply",
    "PUT /api/v2/services-v2/apply_multi_version",
    "PUT /api/v2/services-v2/{service}/update_weights",
    "PUT /ext/v0/services-v2/rollout",
    "PUT /ext/v0/services/rollout",
    "POST /api/v2/compute_templates",
    "POST /ext/v0/cluster_computes",
    "POST /api/v2/clouds/{cloud}/generate_cloud_data_bucket_presigned_url",
}


class World:
    """A plane with a service in each of several states; made anew for each endpoint."""

    def __init__(self) -> None:
        self.plane = FakePlane()
        self.app = application(self.plane.api)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.plane.now += 3600.0  # so that nobody asks too often
        await self.app(scope, receive, send)

    def again(self) -> None:
        self.plane.close()
        self.__init__()
        with self.plane.client() as client:
            for name in ("running", "rolling", "ended"):
                client.deploy({**CONFIG, "name": name, "version_name": "v1"})
            self.plane.advance(30)
            client.deploy(
                {**CONFIG, "name": "rolling", "applications": [{"import_path": "main:two"}]},
                canary_percent=10,
            )
            client.terminate("ended")
            self.plane.advance(120)
        self.ids = [service.id for service in self.plane.store.services()]


CONFIG = {"applications": [{"import_path": "main:app"}]}
world = World()
schema = schemathesis.openapi.from_asgi("/openapi.json", world, headers=BEARER)
OPERATIONS = [found.ok() for found in schema.get_all_operations()]


def choice(value: Any, count: int) -> int:
    """Choose by the value alone, so that it is the same choice at every run."""
    return zlib.crc32(repr(value).encode(errors="replace")) % count


def lead(case: Any, *, astray: bool) -> None:
    """Name a service that there is, two times of three, and let every other deploy be one that could be."""
    if "service" in case.path_parameters:
        which = choice(case.path_parameters, len(world.ids) * 3 // 2)
        if which < len(world.ids):
            case.path_parameters["service"] = world.ids[which]
    if astray or not isinstance(case.body, dict):
        return
    for number, one in enumerate([case.body, *_versions(case.body)]):
        if "ray_serve_config" in one and choice(one, 2):
            one.update(body(name=("running", "rolling", "ended", "new")[choice(one, 4)]))
            one.update({"version": f"v{number}"} if number else {})
    if "cloud_id" in (config := case.body.get("config") or {}):
        config["cloud_id"] = catalog.CLOUD.id


def _versions(asked: dict[str, Any]) -> list[Any]:
    return asked.get("service_versions") or []


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_whatever_is_asked_the_answer_is_one_of_those_described(operation):
    """Status, type, headers and shape of each answer are as described; what fits is taken, what does not is refused."""
    world.again()
    for mode in _modes(operation):
        _ask(operation, mode)
        world.plane.advance(60)  # whatever was made of it, the loop goes on


def _ask(operation: Any, mode: GenerationMode) -> None:
    left_out = [positive_data_acceptance] if operation.label in WITH_RULES else []

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        lead(case, astray=mode is GenerationMode.NEGATIVE)
        case.call_and_validate(headers=BEARER, excluded_checks=left_out)

    ask()


def _modes(operation: Any) -> list[GenerationMode]:
    """What takes nothing can be given nothing wrong."""
    takes = operation.body or operation.query or operation.path_parameters
    return [GenerationMode.POSITIVE, *([GenerationMode.NEGATIVE] if takes else [])]
