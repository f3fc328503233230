"""The judgement about lost answers, where a plane cannot show it: servers that say less, and updates in place."""

from __future__ import annotations

import pytest

from anyservice_core import ServiceConfig
from anyservice_core.errors import ConflictError, DecodeError, TransportError
from anyservice_core.models.wire import ApplyService, ServiceWire
from anyservice_core.operations.applying import apply
from anyservice_core.operations.arrival import Arrived, Changed, Untouched, already_there, judge
from anyservice_core.operations.deploying import deploy

NEW = {"applications": [{"import_path": "main:new"}]}
OLD = {"applications": [{"import_path": "main:app"}]}
PUT = "PUT /api/v2/services-v2/apply"


def body(**fields):
    base = {"name": "recommender", "ray_serve_config": NEW, "build_id": "bld_1", "compute_config_id": "cpt_1"}
    return ApplyService.model_validate({**base, "version": "v2", "canary_percent": 10, **fields})


@pytest.fixture
def at(shapes):
    """A service whose v2 is a canary, said to have this weight and, on some servers, to be meant to have that."""

    def make(weight, target=None, state="ROLLING_OUT", **fields):
        canary = shapes.version(
            "srv_bbbbbbbb", version="v2", weight=weight, target_weight=target, ray_serve_config=NEW
        )
        return ServiceWire.model_validate(
            shapes.service(canary_version=canary, current_state=state, auth_token=None, **fields)
        )

    return make


@pytest.fixture
def plain(shapes):
    """The service with v1 alone."""
    return lambda **fields: ServiceWire.model_validate(shapes.service(auth_token=None, **fields))


def kind(landing):
    return type(landing).__name__


@pytest.mark.parametrize("weight", [0, 3, 10, 99])
@pytest.mark.parametrize("version", ["v2", None])
def test_a_version_that_was_not_there_is_ours_at_any_weight(at, plain, weight, version):
    """It is on its way."""
    assert kind(judge(body(version=version), plain(), at(weight))) == "Arrived"


@pytest.mark.parametrize(
    ("was", "now", "percent", "found"),
    [
        ((10, 10), (10, 50), 50, "Arrived"),
        ((10, 10), (10, 10), 50, "Untouched"),
        ((10, 50), (30, 50), 40, "Untouched"),
        ((50, 50), (40, 10), 10, "Arrived"),
        ((10, None), (10, None), 50, "Untouched"),
        ((10, None), (30, None), 50, "Arrived"),
        ((10, None), (50, None), 50, "Arrived"),
        ((50, None), (20, None), 10, "Arrived"),
        ((10, None), (60, None), 50, "Untouched"),
        ((10, None), (10, None), None, "Untouched"),
        ((10, None), (20, None), None, "Arrived"),
        ((10, 10), (10, 100), None, "Arrived"),
    ],
)
def test_a_canary_that_was_there_is_judged_by_where_it_is_meant_to_go(at, was, now, percent, found):
    """By what the server says of that; where it says nothing, by whether it moves that way."""
    assert kind(judge(body(canary_percent=percent), at(*was), at(*now))) == found


def test_a_canary_that_is_let_go_says_so(at):
    """Where the server tells held from moving ones."""
    held, moving = at(10, 10, auto_rollout_enabled=False), at(10, 10, auto_rollout_enabled=True)
    assert kind(judge(body(canary_percent=None), held, moving)) == "Arrived"
    assert kind(judge(body(canary_percent=None), held, at(30, 30, auto_rollout_enabled=False))) == "Untouched"


def test_a_promoted_canary_has_what_was_asked_for(at, plain, shapes):
    """And more."""
    promoted = shapes.version("srv_bbbbbbbb", version="v2", ray_serve_config=NEW)
    assert kind(judge(body(canary_percent=50), at(10, 10), plain(primary_version=promoted))) == "Arrived"


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({}, "Untouched"),
        ({"goal_state": "TERMINATED", "current_state": "TERMINATING"}, "Changed"),
        ({"current_state": "TERMINATED"}, "Changed"),
        ({"current_state": "ROLLING_BACK"}, "Changed"),
        ({"current_state": "UNHEALTHY"}, "Untouched"),
    ],
)
def test_without_ours_it_matters_whether_anything_happened(plain, fields, found):
    """Only then may it be sent again."""
    assert kind(judge(body(), plain(), plain(**fields))) == found


def test_what_ended_carries_nothing(plain, shapes):
    """A service that is down still shows the version that it ran last."""
    last = shapes.version(version="v2", ray_serve_config=NEW)
    down = plain(primary_version=last, current_state="TERMINATED", goal_state="TERMINATED")
    assert judge(body(), down, down) == Untouched()
    assert kind(judge(body(), down, plain(primary_version=last))) == "Arrived"
    assert judge(body(), down, plain()) == Changed("it was started again")
    assert already_there(down, body()) is None


@pytest.mark.parametrize(
    ("before", "now", "what"),
    [(False, False, None), (True, False, "it is gone"), (False, True, "version 'v1' was deployed")],
)
def test_a_service_that_comes_or_goes(plain, before, now, what):
    """Its name may be somebody else's by now."""
    landing = judge(body(), plain() if before else None, plain() if now else None)
    assert landing == (Changed(what) if what else Untouched())


def test_a_version_on_another_image_is_not_ours(at):
    """The same name and code on what was asked for before."""
    assert judge(body(build_id="bld_2"), at(10, 10), at(10, 10)) == Untouched()
    assert already_there(at(10, 10), body(build_id="bld_2")) is None


@pytest.mark.parametrize(
    "more",
    [
        {"config": {"access": {"use_bearer_token": True}}},
        {"tracing_config": {"enabled": True}},
        {"ray_gcs_external_storage_config": {"enable": True}},
        {"connection_ids": ["con_1"]},
    ],
)
def test_a_run_again_that_asks_for_something_else_is_sent(at, more):
    """Nothing that a user has changed is left out without a word."""
    assert already_there(at(10, 10), body()) is not None
    assert already_there(at(10, 10), body(**more)) is None


@pytest.mark.parametrize(
    ("theirs", "ours", "same"),
    [
        ({"env_vars": {"A": "1", "B": "2"}}, {"env_vars": {"A": "1"}}, False),
        ({"working_dir": "s3://b/a.zip"}, {}, False),
        (
            {"working_dir": "s3://b/a.zip", "user_provided_working_dir": "/home/me"},
            {"working_dir": "s3://b/a.zip"},
            True,
        ),
        ({"pip": None, "env_vars": {}}, {}, True),
    ],
)
def test_what_a_user_has_removed_is_missed(plain, shapes, theirs, ours, same):
    """A server may fill in defaults, but none of what is the user's own."""

    def code(env):
        return {"applications": [{"import_path": "main:new", "route_prefix": "/", "runtime_env": env}]}

    wish = {"applications": [{"import_path": "main:new", **({"runtime_env": ours} if ours else {})}]}
    service = plain(primary_version=shapes.version(version="v2", ray_serve_config=code(theirs)))
    assert (already_there(service, body(ray_serve_config=wish)) is not None) is same


@pytest.mark.parametrize(
    ("weight", "target", "state", "there"),
    [
        (0, 10, "ROLLING_OUT", True),
        (10, None, "ROLLING_OUT", True),
        (10, 50, "ROLLING_OUT", False),
        (5, None, "ROLLING_OUT", False),
        (10, 10, "ROLLING_BACK", False),
    ],
)
def test_a_run_again_adopts_what_goes_where_it_should(at, weight, target, state, there):
    """A canary that is being taken back is not there any more."""
    assert (already_there(at(weight, target, state), body()) is not None) is there


# ── in place ──


@pytest.mark.parametrize(
    ("was", "now", "found"), [(OLD, NEW, "Arrived"), (OLD, OLD, "Untouched"), (NEW, NEW, "Untouched")]
)
def test_an_update_in_place_has_arrived_when_the_version_runs_it(plain, shapes, was, now, found):
    """Where that proves nothing it is sent again, which brings about the same."""
    wish = body(rollout_strategy="IN_PLACE", canary_percent=None, version=None)
    before, after = (plain(primary_version=shapes.version(ray_serve_config=code)) for code in (was, now))
    assert kind(judge(wish, before, after)) == found


def test_an_update_in_place_is_not_sent_into_a_rollout(plain, at):
    """Somebody deployed meanwhile."""
    wish = body(rollout_strategy="IN_PLACE", canary_percent=None, version=None)
    assert judge(wish, plain(), at(10)) == Changed("version 'v2' was deployed")


# ── answers that are none ──


def reread(service):
    yield from ()
    return service


def test_an_answer_that_cannot_be_read_is_a_lost_one(hold, shapes, plain, at):
    """The server said yes, so it is looked for; it is not sent again."""
    landed = at(0)
    talk = hold(apply(body(), plain(), lambda: reread(landed)), shapes.reply({"result": {"id": "x"}}))
    assert (talk.result, talk.lines) == (landed, [PUT])


def test_an_answer_that_cannot_be_read_and_did_nothing_is_an_error(talk, shapes, plain):
    """A page of some proxy, for instance."""
    with pytest.raises(DecodeError):
        talk.hold(apply(body(), plain(), lambda: reread(plain())), [shapes.reply("<html>")])
    assert talk.lines == [PUT]


def test_a_conflict_with_what_we_sent_before_is_a_late_arrival(hold, shapes, plain, at):
    """It was not to be seen yet when we looked."""
    seen = iter([plain(), at(0)])
    talk = hold(apply(body(), plain(), lambda: reread(next(seen))), TransportError("lost"), shapes.error(409))
    assert talk.result.canary_version.version == "v2"
    assert len(talk.lines) == 2


def test_a_conflict_at_once_is_an_answer(talk, shapes, plain):
    """Nothing of ours can be in the way."""
    with pytest.raises(ConflictError, match="no"):
        talk.hold(apply(body(), plain(), lambda: reread(plain())), [shapes.error(409)])


def test_too_many_requests_is_not_a_lost_answer(talk, shapes, plain):
    """It says that nothing was done, and is waited for where all requests are."""
    with pytest.raises(Exception, match="HTTP 429"):
        talk.hold(apply(body(), plain(), lambda: reread(plain())), [shapes.error(429)] * 5)


def test_a_landing_on_the_last_try_is_found_too(hold, shapes, plain, at):
    """The look comes after each."""
    seen = iter([plain()] * 4 + [at(0)])
    talk = hold(apply(body(), plain(), lambda: reread(next(seen))), *[TransportError("lost")] * 5)
    assert isinstance(judge(body(), plain(), talk.result), Arrived)


def test_tries_are_told(hold, shapes, plain, at):
    """Whoever watches wonders what takes so long."""
    talk = hold(apply(body(), plain(), lambda: reread(at(0))), TransportError("dropped"))
    assert talk.reports == [
        "The deploy failed, try 1 of 5: dropped",
        "recommender: version v2 is there already, nothing sent",
    ]


# ── connections by name ──


def test_a_connection_by_name_becomes_its_id(hold, shapes):
    """Ids pass as they are."""
    config = ServiceConfig(
        name="recommender",
        applications=OLD["applications"],
        connections=["con_1", {"type": "databricks", "name": "lake"}],
    )
    found = shapes.page({"name": "lake", "user_connection_id": "con_2"})
    ground = [
        shapes.result({"id": "cld_1", "name": "main"}),
        shapes.result({"id": "cpt_1", "config": {"cloud_id": "cld_1"}}),
        shapes.result({"id": "prj_1", "name": "default"}),
        shapes.page(),
        shapes.result({"id": "bld_1"}),
    ]
    talk = hold(deploy(config), found, *ground, shapes.result(shapes.service()))
    assert talk.requests[0].params == {"name": "lake"}
    assert talk.requests[-1].json["connection_ids"] == ["con_1", "con_2"]
