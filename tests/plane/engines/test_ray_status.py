from __future__ import annotations

import pytest

from anyservice_core.plane.engines import EngineState
from anyservice_core.plane.engines.ray_status import AppReport, overall

TRACE = 'Traceback\n  File "/data/main.py", line 3, in __init__\n    boom()\nRuntimeError: boom'


@pytest.mark.parametrize(
    ("statuses", "state"),
    [
        (["NOT_STARTED"], EngineState.STARTING),
        (["DEPLOYING"], EngineState.STARTING),
        (["RUNNING"], EngineState.RUNNING),
        (["UNHEALTHY"], EngineState.UNHEALTHY),
        (["DEPLOY_FAILED"], EngineState.FAILED),
        (["DELETING"], EngineState.UNHEALTHY),
        (["SOMETHING_NEW"], EngineState.UNHEALTHY),
        (["RUNNING", "RUNNING"], EngineState.RUNNING),
        (["RUNNING", "DEPLOYING"], EngineState.STARTING),
        (["DEPLOYING", "UNHEALTHY"], EngineState.UNHEALTHY),
        (["UNHEALTHY", "DEPLOY_FAILED"], EngineState.FAILED),
    ],
)
def test_the_worst_application_decides(statuses: list[str], state: EngineState) -> None:
    """A version is as well as its worst application."""
    apps = {str(number): AppReport(status) for number, status in enumerate(statuses)}
    assert overall(apps, list(apps))[0] is state


def test_an_application_that_serve_does_not_know_is_starting() -> None:
    """Right after the deploy Serve's list may be empty: that is no success."""
    assert overall({}, ["default"])[0] is EngineState.STARTING
    assert overall({"other": AppReport("RUNNING")}, ["other", "default"])[0] is EngineState.STARTING


def test_the_traceback_of_a_deployment_is_the_reason() -> None:
    """The deployment's traceback says more than "the deployments are unhealthy"."""
    app = AppReport("DEPLOY_FAILED", "The deployments ['Hello'] are UNHEALTHY.", (TRACE,))
    assert (
        overall({"default": app}, ["default"])[1] == "RuntimeError: boom (main.py line 3 in __init__: boom())"
    )


def test_of_several_the_culprits_are_named() -> None:
    """With more than one application the message says which one it is about."""
    apps = {"good": AppReport("RUNNING"), "bad": AppReport("DEPLOY_FAILED", TRACE)}
    assert overall(apps, list(apps))[1].startswith("application 'bad': RuntimeError: boom")
