"""What every plane does for every client."""

from __future__ import annotations

import pytest

from anyservice_core.errors import (
    ConflictError,
    NotFoundError,
    RejectedError,
    WaitError,
    WaitFailedError,
    WaitTimeoutError,
)
from anyservice_core.models.enums import ServiceState

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def name(plane) -> str:
    return plane.service_name()


@pytest.fixture
def running(plane, name):
    """A service whose v1 takes all traffic."""
    plane.deploy(plane.config(name, "v1"))
    yield plane.wait(name, timeout_s=60)
    plane.terminate(name)
    plane.wait(name, state="TERMINATED", timeout_s=60)


def canary(plane, name, percent, version="v2"):
    """Deploy a version and wait until it holds its weight."""
    plane.deploy(plane.config(name, version), canary_percent=percent)
    return plane.wait(name, state="ROLLING_OUT", version=version, canary_weight=percent, timeout_s=60)


def test_deploy_gives_the_id_and_the_version(plane, name):
    """Deploy returns the service id, a str, which knows its version's name and id."""
    deployed = plane.deploy(plane.config(name, "v1"), canary_percent=10)
    status = plane.wait(name, timeout_s=60)
    assert (str(deployed), deployed.version_name, deployed.version_id) == (
        status.id,
        "v1",
        status.primary_version.id,
    )
    plane.terminate(name)


def test_a_new_service_ignores_the_canary_percent(plane, running):
    """The first version gets all traffic."""
    assert (running.state, running.primary_version.weight, running.canary_version) == ("RUNNING", 100, None)
    assert running.query_auth_token
    assert running.query_auth_token not in repr(running)


def test_canary_shift_and_promotion(plane, name, running):
    """10, then 50, then 100: the canary's id becomes the primary's, the service's stays."""
    held = canary(plane, name, 10)
    assert (held.primary_version.weight, held.canary_version.weight) == (90, 10)
    plane.shift(name, canary_percent=50)
    held = plane.wait(name, state="ROLLING_OUT", version="v2", canary_weight=50, timeout_s=60)
    plane.shift(name, canary_percent=100)
    done = plane.wait(name, version="v2", timeout_s=60)
    assert (done.id, done.primary_version.id, done.canary_version) == (
        running.id,
        held.canary_version.id,
        None,
    )


def test_deploying_the_same_again_with_another_percent_moves_the_weight(plane, name, running):
    """The same configuration under the same version name is the same canary."""
    config = plane.config(name, "v2")
    first = plane.deploy(config, canary_percent=10)
    plane.wait(name, state="ROLLING_OUT", version="v2", canary_weight=10, timeout_s=60)
    second = plane.deploy(config, canary_percent=30)
    held = plane.wait(name, state="ROLLING_OUT", version="v2", canary_weight=30, timeout_s=60)
    assert first.version_id == second.version_id == held.canary_version.id


def test_an_automatic_rollout_ends_at_100(plane, name, running):
    """Without a percent the plane walks to 100 by itself."""
    plane.deploy(plane.config(name, "v2"))
    assert plane.wait(name, version="v2", timeout_s=300).primary_version.name == "v2"


def test_rollback_restores_the_primary(plane, name, running):
    """After a rollback the old primary, unchanged, serves everything; a second one is a conflict."""
    canary(plane, name, 25)
    assert plane.rollback(name) == running.id
    status = plane.wait(name, timeout_s=60)
    assert (status.primary_version.id, status.primary_version.weight) == (running.primary_version.id, 100)
    assert status.canary_version is None
    with pytest.raises(ConflictError, match="RUNNING"):
        plane.rollback(name)


def test_an_update_in_place_keeps_the_version(plane, name, running):
    """New code under the same service and version ids: UPDATING at once, then RUNNING with all the traffic."""
    deployed = plane.deploy(plane.config(name, "v1", folder="next"), in_place=True)
    assert deployed.version_id == running.primary_version.id
    done = plane.wait(name, version="v1", timeout_s=60)
    assert (done.id, done.state) == (running.id, "RUNNING")
    assert (done.primary_version.id, done.primary_version.weight) == (running.primary_version.id, 100)
    assert done.primary_version.config != running.primary_version.config


def test_an_update_in_place_that_fails_ends_the_wait_with_the_reason(plane, name, running):
    """Whoever waits for it is told why, and the next one mends it."""
    plane.deploy(plane.config(name, "v1", folder="bad", code="import nothing_of_that_name"), in_place=True)
    plane.break_update(name)
    with pytest.raises(WaitFailedError, match="update in place failed: .*nothing_of_that_name"):
        plane.wait(name, timeout_s=60)
    assert plane.status(name).primary_version.id == running.primary_version.id
    plane.deploy(plane.config(name, "v1", folder="good"), in_place=True)
    assert plane.wait(name, timeout_s=60).error_message is None


def test_in_place_needs_a_service_at_rest(plane, name, running):
    """In the middle of a rollout, and after the end, there is nothing that could be updated in place."""
    canary(plane, name, 25)
    with pytest.raises(ConflictError):
        plane.deploy(plane.config(name, "v3"), in_place=True)
    plane.rollback(name)
    plane.wait(name, timeout_s=60)
    plane.terminate(name)
    plane.wait(name, state="TERMINATED", timeout_s=60)
    with pytest.raises(ConflictError):
        plane.deploy(plane.config(name, "v3", folder="again"), in_place=True)


def test_a_wait_for_a_version_that_was_rolled_back_ends_early(plane, name, running):
    """Waiting for my version fails at once when it is gone, and not at the deadline."""
    canary(plane, name, 25)
    plane.rollback(name)
    with pytest.raises(WaitFailedError):
        plane.wait(name, version="v2", timeout_s=300)


def test_a_wait_has_a_deadline(plane, name, running):
    """A goal that does not come ends the wait with the last state seen."""
    with pytest.raises(WaitTimeoutError) as caught:
        plane.wait(name, state="ROLLING_BACK", timeout_s=0.5, poll_interval_s=0.1)
    assert caught.value.state == "RUNNING"


def test_a_wait_for_running_on_a_terminated_service_ends_early(plane, name, running):
    """A service that was stopped will not come back by itself."""
    plane.terminate(name)
    plane.wait(name, state="TERMINATED", timeout_s=60)
    with pytest.raises(WaitError):
        plane.wait(name, timeout_s=300)


def test_a_terminated_service_is_deployed_again_under_its_id(plane, name, running):
    """Restart keeps the id and gives the new version everything."""
    plane.terminate(name)
    plane.wait(name, state="TERMINATED", timeout_s=60)
    assert plane.deploy(plane.config(name, "v9"), canary_percent=5) == running.id
    assert plane.wait(name, version="v9", timeout_s=60).primary_version.weight == 100


def test_archive_and_delete_end_a_service(plane, name):
    """Archived ones are hidden from status; deleted ones are gone from every list."""
    plane.deploy(plane.config(name, "v1"))
    plane.wait(name, timeout_s=60)
    with pytest.raises(RejectedError, match="TERMINATED"):
        plane.archive(name=name)
    plane.terminate(name)
    plane.wait(name, state="TERMINATED", timeout_s=60)
    plane.archive(name=name)
    with pytest.raises(NotFoundError):
        plane.status(name)
    assert [s.name for s in plane.list(name=name, include_archived=True)] == [name]
    plane.delete(name=name)
    assert plane.list(name=name, include_archived=True) == []


def test_list_filters_by_state(plane, name, running):
    """A state filter takes states as text in any case."""
    assert [s.name for s in plane.list(name=name, state_filter=["running"])] == [name]
    assert plane.list(name=name, state_filter=[ServiceState.TERMINATED]) == []


def test_unknown_names_are_not_found(plane):
    """Every operation on a service that is not there says so by name."""
    for call in (plane.status, plane.wait, plane.rollback, plane.terminate):
        with pytest.raises(NotFoundError, match="nowhere"):
            call("nowhere")
