from __future__ import annotations

import pytest

from anyservice_core.effects import Together
from anyservice_core.errors import (
    AuthError,
    ConfigError,
    ConflictError,
    DecodeError,
    NotFoundError,
    RejectedError,
    TransportError,
    UnavailableError,
    WaitTimeoutError,
)
from anyservice_core.models import ServiceConfig, ServiceState
from anyservice_core.operations import inside, services
from anyservice_core.operations.listing import listing
from anyservice_core.operations.sending import ATTEMPTS
from anyservice_core.settings import Workspace
from anyservice_core.testing import FakePlane

ROLLBACK = "POST /api/v2/services-v2/service2_1/rollback"


def canary(shapes, **fields):
    return shapes.service(canary_version=shapes.version("srv_bbbbbbbb", version="v2", weight=10), **fields)


def test_a_status_is_two_requests(hold, shapes):
    """The service, and what its project is called."""
    project = shapes.result({"id": "prj_1", "name": "shop"})
    talk = hold(services.status("recommender"), shapes.page(shapes.service()), project)
    assert talk.lines == ["GET /api/v2/services-v2/", "GET /api/v2/projects/prj_1"]
    assert (talk.result.name, talk.result.project) == ("recommender", "shop")


def test_the_default_project_has_no_name(hold, shapes):
    """As the reference has it."""
    project = shapes.result({"id": "prj_1", "name": "default"})
    assert hold(services.status("recommender"), shapes.page(shapes.service()), project).result.project is None


def test_a_project_that_we_may_not_see_is_no_reason_to_fail(hold, shapes):
    """The status is about the service."""
    talk = hold(services.status(id="service2_1"), shapes.result(shapes.service()), shapes.error(404))
    assert talk.result.project is None


def test_a_status_within_a_cloud_and_a_project_is_two_round_trips(hold, shapes):
    """Both names are asked for at once, and that of the project is known then."""
    cloud = shapes.result({"id": "cld_1", "name": "prod"})
    project = shapes.page({"id": "prj_1", "name": "shop", "parent_cloud_id": "cld_1"})
    talk = hold(
        services.status("recommender", cloud="prod", project="shop"),
        cloud,
        project,
        shapes.page(shapes.service()),
    )
    assert [len(effect.ops) for effect in talk.effects if isinstance(effect, Together)] == [2]
    assert talk.requests[-1].params == {
        "name": "recommender",
        "cloud_id": "cld_1",
        "project_id": "prj_1",
        "archive_status": "NOT_ARCHIVED",
        "count": 50,
    }
    assert talk.result.project == "shop"


def test_a_project_of_that_name_in_another_cloud_is_not_meant(hold, shapes):
    """It is searched for in the cloud that is given."""
    cloud = shapes.result({"id": "cld_1", "name": "prod"})
    elsewhere = shapes.page({"id": "prj_9", "name": "shop", "parent_cloud_id": "cld_9"})
    here = shapes.page({"id": "prj_1", "name": "shop", "parent_cloud_id": "cld_1"})
    found = shapes.page(shapes.service())
    talk = hold(services.glance("recommender", cloud="prod", project="shop"), cloud, elsewhere, here, found)
    assert talk.requests[-1].params["project_id"] == "prj_1"


def test_a_workspace_says_which_service_and_where(talk, shapes):
    """Its own name, cloud and project; what is given comes first."""
    talk.workspace = Workspace("expwrk_1", None)
    ours = {"id": "expwrk_1", "name": "recommender", "cloud_id": "cld_1", "project_id": "prj_1"}
    workspace = shapes.result(ours)
    talk.hold(services.glance(), [workspace, workspace, shapes.page(shapes.service())])
    asked = talk.requests[-1].params
    assert (asked["name"], asked["cloud_id"], asked["project_id"]) == ("recommender", "cld_1", "prj_1")
    talk.hold(services.glance("recommender", project="prj_2"), [shapes.page(shapes.service())])
    assert "cloud_id" not in talk.requests[-1].params


def test_a_workspace_s_code_is_what_is_deployed(talk, shapes):
    """By its name; an application that brings its own, or a config that does, keeps it."""
    talk.workspace = Workspace("expwrk_1", None)
    ours = shapes.result({"id": "expwrk_1", "name": "recommender"})
    own = {"import_path": "b:b", "runtime_env": {"working_dir": "s3://b/b.zip"}}
    config = ServiceConfig(applications=[{"import_path": "a:a", "runtime_env": {"pip": ["x"]}}, own])
    made = talk.hold(inside.completed(config), [ours]).result
    assert made.name == "recommender"
    assert made.applications == [
        {"import_path": "a:a", "runtime_env": {"working_dir": ".", "pip": ["x"]}},
        own,
    ]
    config = config.options(name="other", working_dir="s3://b/a.zip")
    assert talk.hold(inside.completed(config), []).result == config


def test_what_was_installed_in_a_workspace_is_installed_for_the_service(talk):
    """Unless the config or the application says itself what is needed."""
    talk.workspace = Workspace("expwrk_1", None, "/mnt/requirements.txt")
    plain, own = {"import_path": "a:a"}, {"import_path": "b:b", "runtime_env": {"pip": ["x"]}}
    config = ServiceConfig(name="svc", working_dir="s3://b/a.zip", applications=[plain, own])
    made = talk.hold(inside.completed(config), []).result
    assert made.applications == [{**plain, "runtime_env": {"pip": "/mnt/requirements.txt"}}, own]
    config = config.options(requirements=[])
    assert talk.hold(inside.completed(config), []).result == config


def test_57_services_are_three_requests():
    """Two pages, and the name of the one project that they are in."""
    with FakePlane() as plane, plane.client() as client:
        for number in range(57):
            client.deploy(ServiceConfig(name=f"svc-{number}", applications=[{"import_path": "main:app"}]))
        plane.requests.clear()
        assert len(list(client.list())) == 57
        assert len(plane.requests) == 3


def test_a_glance_by_id_is_one_request(hold, shapes):
    """For those who look often."""
    assert hold(services.glance(id="service2_1"), shapes.result(shapes.service())).lines == [
        "GET /api/v2/services-v2/service2_1"
    ]


def test_a_name_is_matched_exactly_on_every_page(hold, shapes):
    """The server matches substrings, and the one that is meant may be on the last page."""
    one = shapes.page(shapes.service(name="recommender-old"), token="more")
    two = shapes.page(shapes.service("service2_2"))
    talk = hold(services.glance("recommender"), one, two)
    assert talk.result.id == "service2_2"
    assert talk.requests[1].params["paging_token"] == "more"


def test_no_service_of_that_name_is_said_so(talk, shapes):
    """With where it was looked for."""
    answers = [shapes.page({"id": "prj_7", "name": "shop"}), shapes.page()]
    with pytest.raises(NotFoundError, match=r"'recommender'.*project 'shop'"):
        talk.hold(services.status("recommender", project="shop"), answers)


def test_a_cloud_s_name_costs_no_round_trip_of_its_own(talk, shapes):
    """It is asked for together with the services, of which only that cloud's count."""
    elsewhere = shapes.service("service2_9", cloud_id="cld_9")
    answers = [shapes.result({"id": "cld_1", "name": "prod"}), shapes.page(elsewhere, shapes.service())]
    found = talk.hold(services.glance("recommender", cloud="prod"), answers).result
    assert found.id == "service2_1"
    assert sum(isinstance(effect, Together) for effect in talk.effects) == 1
    assert [request.method for request in talk.requests] == ["POST", "GET"]


def test_of_many_pages_only_those_of_the_cloud_are_read(talk, shapes):
    """A name that many services share in part is searched for where it is wanted."""
    answers = [
        shapes.result({"id": "cld_1", "name": "prod"}),
        shapes.page(shapes.service("service2_9", cloud_id="cld_9"), token="more"),
        shapes.page(shapes.service()),
    ]
    assert talk.hold(services.glance("recommender", cloud="prod"), answers).result.id == "service2_1"
    assert talk.requests[-1].params["cloud_id"] == "cld_1"


def test_two_services_of_one_name_are_not_guessed_at(talk, shapes):
    """What follows may be terminate."""
    both = shapes.page(shapes.service(), shapes.service("service2_2", project_id="prj_2"))
    with pytest.raises(ConfigError, match=r"service2_1 in project prj_1, service2_2 in project prj_2"):
        talk.hold(services.terminate("recommender"), [both])


def test_an_id_of_a_cloud_or_project_stands_for_itself(hold, shapes):
    """No request is needed to find it."""
    talk = hold(services.glance("recommender", cloud="cld_1", project="prj_1"), shapes.page(shapes.service()))
    assert talk.requests[0].params["cloud_id"] == "cld_1"
    assert talk.requests[0].params["project_id"] == "prj_1"


@pytest.mark.parametrize("shape", ["result", "results"])
def test_a_project_without_a_cloud_is_found_in_either_shape(hold, shapes, shape):
    """Servers differ in how they answer a find."""
    item = {"id": "prj_7", "name": "shop"}
    found = shapes.result(item) if shape == "result" else shapes.page(item)
    talk = hold(services.glance("recommender", project="shop"), found, shapes.page(shapes.service()))
    assert talk.requests[1].params["project_id"] == "prj_7"


def test_who_is_meant_must_be_said(talk):
    """Neither name nor id."""
    with pytest.raises(ConfigError, match="name: missing"):
        talk.hold(services.terminate(), [])


# ── wait ──


def test_a_wait_polls_by_id_with_one_request_each(hold, shapes):
    """The first look is the look-up itself."""
    starting, running = shapes.service(current_state="STARTING"), shapes.service()
    talk = hold(
        services.wait("recommender"), shapes.page(starting), shapes.result(starting), shapes.result(running)
    )
    assert talk.lines[1:] == ["GET /api/v2/services-v2/service2_1"] * 2
    assert talk.result.state is ServiceState.RUNNING


def test_a_wait_by_id_looks_by_id_alone(hold, shapes):
    """The first answer may fail to come, too; what is left of the time bounds each look."""
    away, there = shapes.error(503), shapes.result(shapes.service())
    talk = hold(services.wait(id="service2_1", timeout_s=60, poll_interval_s=5), away, there)
    assert talk.lines == ["GET /api/v2/services-v2/service2_1"] * 2
    assert [request.within_s for request in talk.requests] == [60.0, 55.0]


def test_a_look_up_is_part_of_the_wait(talk, shapes):
    """The deadline is counted from the call."""
    starting = shapes.service(current_state="STARTING")
    answers = [shapes.error(503, Retry_After="20"), shapes.page(starting), *[shapes.result(starting)] * 5]
    with pytest.raises(WaitTimeoutError):
        talk.hold(services.wait("recommender", timeout_s=30, poll_interval_s=2), answers)
    assert talk.now == 1030.0


def test_a_look_up_that_fails_costs_a_look(talk, shapes):
    """A control plane may be away for as long as the wait has time; its tries end with it."""
    with pytest.raises(WaitTimeoutError, match="no answer"):
        talk.hold(services.wait("recommender", timeout_s=60, poll_interval_s=9), [shapes.error(503)] * 30)
    assert 1060.0 <= talk.now < 1061.0


def test_a_wait_by_name_needs_a_plane_that_is_there(talk):
    """The tries of one look-up, a few seconds, are what a plane gets that starts at the same moment."""
    refused = TransportError("refused", refused=True)
    with pytest.raises(TransportError, match="refused"):
        talk.hold(services.wait("recommender", timeout_s=600), [refused] * ATTEMPTS)
    assert talk.now < 1010.0


@pytest.mark.parametrize("asked", [{"id": "service2_1"}, {"name": "recommender", "patient": True}])
def test_who_knows_the_plane_or_is_patient_waits_for_it(talk, asked):
    """An id comes from an earlier answer, so the plane is away, not missing."""
    refused = TransportError("refused", refused=True)
    with pytest.raises(WaitTimeoutError, match="no answer"):
        talk.hold(services.wait(**asked, timeout_s=60, poll_interval_s=9), [refused] * 30)


def test_a_poll_that_fails_is_not_repeated_on_the_side(hold, shapes):
    """The next poll is the retry, so the deadline is kept."""
    starting = shapes.service(current_state="STARTING")
    talk = hold(
        services.wait("recommender"),
        shapes.page(starting),
        shapes.error(503),
        shapes.result(shapes.service()),
    )
    assert [sleep.seconds for sleep in talk.sleeps] == [2.0, 2.0]


@pytest.mark.parametrize("field", ["timeout_s", "poll_interval_s"])
@pytest.mark.parametrize("bad", [0, -1, float("nan")])
def test_a_wait_needs_times_above_zero(talk, field, bad):
    """Nothing is asked before that is clear."""
    with pytest.raises(ConfigError, match=field):
        talk.hold(services.wait("recommender", **{field: bad}), [])


# ── rollback ──


def test_a_rollback_is_sent_with_its_surge(hold, shapes):
    """And without, when none is given."""
    talk = hold(
        services.rollback("recommender", max_surge_percent=30),
        shapes.page(canary(shapes)),
        shapes.result(canary(shapes)),
    )
    assert (talk.lines[-1], talk.requests[-1].json) == (ROLLBACK, {"max_surge_percent": 30})
    assert talk.result == "service2_1"


@pytest.mark.parametrize("state", ["ROLLING_BACK", "RUNNING"])
def test_a_lost_answer_to_a_rollback_is_not_an_error(hold, shapes, state):
    """A second one would be refused, so the service is read instead."""
    now = canary(shapes, current_state=state) if state == "ROLLING_BACK" else shapes.service()
    talk = hold(
        services.rollback("recommender"),
        shapes.page(canary(shapes)),
        TransportError("lost"),
        shapes.result(now),
    )
    assert talk.lines.count(ROLLBACK) == 1


def test_a_lost_rollback_is_sent_again(hold, shapes):
    """The canary is still there, so nothing arrived."""
    one = canary(shapes, current_state="ROLLING_OUT")
    answers = [shapes.page(one), shapes.error(502), shapes.result(one), shapes.result(one)]
    assert hold(services.rollback("recommender"), *answers).lines.count(ROLLBACK) == 2


def test_a_rollback_that_came_too_late_says_so(talk, shapes):
    """The canary has become primary in the meantime."""
    promoted = shapes.service(primary_version=shapes.version("srv_bbbbbbbb", version="v2"))
    answers = [shapes.page(canary(shapes)), TransportError("lost"), shapes.result(promoted)]
    with pytest.raises(ConflictError, match="too late"):
        talk.hold(services.rollback("recommender"), answers)


def test_a_rollback_without_a_rollout_is_refused(talk, shapes):
    """By the server, whose words are passed on."""
    with pytest.raises(RejectedError, match="no rollout"):
        talk.hold(
            services.rollback("recommender"), [shapes.page(shapes.service()), shapes.error(400, "no rollout")]
        )


# ── ends ──


@pytest.mark.parametrize(
    ("operation", "line", "archived"),
    [
        (services.terminate, "POST /api/v2/services-v2/service2_1/terminate", "NOT_ARCHIVED"),
        (services.archive, "POST /api/v2/services-v2/service2_1/archive", "NOT_ARCHIVED"),
        (services.delete, "DELETE /api/v2/services-v2/service2_1", "ALL"),
    ],
)
def test_an_end_is_asked_for_by_name_or_id(hold, shapes, operation, line, archived):
    """With an id no look-up is needed; delete finds archived ones too."""
    answer = shapes.result(shapes.service())
    by_name = hold(operation("recommender"), shapes.page(shapes.service()), answer)
    assert by_name.requests[0].params["archive_status"] == archived
    assert by_name.lines[-1] == line
    by_id = hold(operation(id="service2_1"), answer)
    assert (by_id.lines, by_id.result) == ([line], "service2_1")


@pytest.mark.parametrize("operation", [services.archive, services.delete])
def test_an_empty_answer_is_an_answer(hold, shapes, operation):
    """204 says yes."""
    assert hold(operation(id="service2_1"), shapes.reply(status=204)).result == "service2_1"


def test_deleting_what_is_gone_after_a_lost_answer_is_done(hold, shapes):
    """404 then means that the first one arrived."""
    talk = hold(services.delete(id="service2_1"), TransportError("lost"), shapes.error(404))
    assert talk.result == "service2_1"


def test_deleting_what_never_was_is_an_error(talk, shapes):
    """404 at once is an answer."""
    with pytest.raises(NotFoundError):
        talk.hold(services.delete(id="service2_1"), [shapes.error(404)])


def test_a_server_that_stays_away_ends_a_delete(talk, shapes):
    """Patience ends."""
    with pytest.raises(UnavailableError):
        talk.hold(services.delete(id="service2_1"), [shapes.error(503)] * 6)


# ── list ──


def test_a_list_asks_what_the_contract_names(hold, shapes):
    """Names of cloud and project are resolved once, for all pages."""
    asked = listing(
        name="rec",
        state_filter=["running", ServiceState.STARTING],
        cloud="prod",
        project="shop",
        created_by_me=True,
        include_archived=True,
        tags_filter={"team": ["x", "y"], "env": ["p"], "none": []},
        sort_field="name",
        sort_order="desc",
        page_size=2,
    )
    me = shapes.result({"id": "usr_1", "email": "me@example.com"})
    cloud, project = (
        shapes.result({"id": "cld_1", "name": "prod"}),
        shapes.page({"id": "prj_7", "name": "shop", "parent_cloud_id": "cld_1"}),
    )
    first = hold(asked.page(None), me, cloud, project, shapes.page(shapes.service(), token="t"))
    assert [one.project for one in first.result.items] == ["shop"]
    assert first.requests[-1].params == {
        "name": "rec",
        "state_filter": ["RUNNING", "STARTING"],
        "archive_status": "ALL",
        "creator_id": "usr_1",
        "tag_filter": ["team:x", "team:y", "env:p"],
        "cloud_id": "cld_1",
        "project_id": "prj_7",
        "sort_field": "NAME",
        "sort_order": "DESC",
        "count": 2,
    }
    second = hold(asked.page(first.result.following), shapes.page())
    assert second.requests[0].params["paging_token"] == "t"
    assert second.result.following is None


def test_a_list_of_one_is_by_id(hold, shapes):
    """Other filters have nothing to do then."""
    project = shapes.result({"id": "prj_1", "name": "shop"})
    talk = hold(listing(service_id="service2_1").page(None), shapes.result(shapes.service()), project)
    assert [(service.id, service.project) for service in talk.result.items] == [("service2_1", "shop")]


def test_a_list_asks_for_each_project_once_side_by_side(hold, shapes):
    """By whichever name people know it; one that we may not see has none."""
    found = [shapes.service(f"service2_{n}", project_id=f"prj_{n % 3}") for n in range(9)]
    names = [
        shapes.result({"id": "prj_0", "name": "default"}),
        shapes.result({"id": "prj_1", "name": "shop"}),
    ]
    talk = hold(listing().page(None), shapes.page(*found), *names, shapes.error(403))
    assert len(talk.lines) == 4
    assert [one.project for one in talk.result.items[:4]] == [None, "shop", None, None]


def test_a_token_that_is_refused_is_not_a_project_without_a_name(talk, shapes):
    """401 is about all of it."""
    with pytest.raises(AuthError):
        talk.hold(services.status(id="service2_1"), [shapes.result(shapes.service()), shapes.error(401)])


def test_one_odd_service_does_not_hide_the_others(hold, shapes):
    """It is left out, and whoever watches is told what was odd."""
    page = shapes.page({"id": "service2_odd"}, shapes.service(), shapes.service(weight="much"), token="2")
    talk = hold(listing(project="prj_1").page(None), page, shapes.result({"id": "prj_1", "name": "default"}))
    assert [one.id for one in talk.result.items] == ["service2_1", "service2_1"]
    assert talk.result.following.token == "2"
    [said] = talk.reports
    assert said.startswith("left out of the list: ")
    assert "name: Field required" in said


def test_a_list_of_nothing_but_odd_services_is_an_error(talk, shapes):
    """It is not the services then, it is the server."""
    with pytest.raises(DecodeError, match=r"results\.0"):
        talk.hold(listing().page(None), [shapes.page({"id": "service2_odd"})])


def test_a_look_up_by_name_leaves_nothing_out(talk, shapes):
    """The odd one may be the one that is meant, and not finding it would mean to start another."""
    odd = {"id": "service2_odd", "name": "recommender"}
    with pytest.raises(DecodeError, match=r"results\.0"):
        talk.hold(services.status("recommender"), [shapes.page(odd, shapes.service(name="recommender-2"))])


def test_pages_that_never_end_are_an_error(talk, shapes):
    """The same token twice would have us read for ever."""
    answers = [shapes.page(shapes.service(name="x"), token="t")] * 2
    with pytest.raises(DecodeError, match="never end"):
        talk.hold(services.glance("recommender"), answers)


@pytest.mark.parametrize(
    "bad",
    [
        {"page_size": 0},
        {"page_size": 51},
        {"max_items": -1},
        {"state_filter": ["ON"]},
        {"sort_field": "AGE"},
        {"sort_order": "UP"},
    ],
)
def test_a_list_that_cannot_be_is_refused(bad):
    """The text names the field."""
    with pytest.raises(ConfigError, match=next(iter(bad))):
        listing(**bad)
