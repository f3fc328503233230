from __future__ import annotations

import json
from datetime import timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from anyservice_core import NotFoundError
from anyservice_core.effects import Inside, Reply, Together
from anyservice_core.errors import AnyserviceError
from anyservice_core.operations import quick, services


def plainly(status) -> dict:
    """What the models say, without the versions' configs."""
    fields = status.to_dict()
    for version in (fields["primary_version"], fields["canary_version"], *fields["versions"]):
        if version:
            del version["config"]
    return fields


def answer(op, page, project):
    """Hold a conversation with a server that has these two answers."""
    try:
        effect = next(op)
        while True:
            effect = op.send(_answer(effect, page, project))
    except StopIteration as stop:
        return stop.value


def _answer(effect, page, project):
    match effect:
        case Inside():
            return None
        case Together(ops):
            return [answer(op, page, project) for op in ops]
    body = project if "projects" in effect.path else page
    return Reply(200, body if isinstance(body, bytes) else json.dumps(body).encode())


def test_it_says_what_the_models_say(hold, shapes):
    """And asks for the same."""
    canary = shapes.version("srv_bbbbbbbb", weight=10, created_at="2026-01-01T00:00:00.5+02:00")
    service = shapes.service(canary_version=canary, creator={"id": "usr_1", "email": "me@here"})
    answers = shapes.page(service), shapes.result({"id": "prj_1", "name": "apps"})
    quickly, whole = (hold(room.status("recommender"), *answers) for room in (quick, services))
    assert quickly.result == plainly(whole.result)
    assert quickly.requests == whole.requests


def test_by_id_too(hold, shapes):
    """One service, and a project that we may not look at."""
    service = shapes.service(current_state="USER_ERROR_FAILURE")
    answers = shapes.result(service), shapes.error(404)
    quickly, whole = (hold(room.status(id="service2_1"), *answers) for room in (quick, services))
    assert quickly.result == plainly(whole.result)
    assert quickly.requests == whole.requests


@pytest.mark.parametrize("page", ["another", "namesakes", "more"])
def test_a_choice_is_left_to_the_models(hold, shapes, page):
    """Who is not there, who is there twice, and who may be on the next page."""
    one = shapes.service()
    pages = {
        "another": shapes.page(shapes.service(name="recommender-2")),
        "namesakes": shapes.page(one, one),
        "more": shapes.page(one, token="2"),
    }
    assert hold(quick.status("recommender"), pages[page]).result is None


def test_nobody_meant_is_left_to_the_models(hold):
    """Without a question."""
    assert hold(quick.status()).result is None


def test_a_refusal_is_an_error_at_once(talk, shapes):
    """The same that the models would give."""
    with pytest.raises(NotFoundError):
        talk.hold(quick.status(id="service2_1"), [shapes.error(404)])


def by_name(fields, project):
    """What both say of such a service, ``None`` where the models refuse."""
    service = {"id": "service2_1", "name": "svc", "current_state": "RUNNING", "project_id": "prj_1"} | fields
    page = {"results": [service], "metadata": {}}
    said = answer(quick.status("svc"), page, project)
    try:
        return said, plainly(answer(services.status("svc"), page, project))
    except AnyserviceError:
        return said, None


states = st.sampled_from(["RUNNING", "USER_ERROR_FAILURE", "starting", "NEWS"])
words = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(timezones=zones | st.none()).map(lambda moment: {"created_at": moment.isoformat()})
versions = st.builds(
    lambda known, weight, state, more: {"id": known, "weight": weight, "current_state": state} | more,
    st.sampled_from(["srv_1", "srv_2"]),
    st.integers(0, 100),
    states,
    st.just({}) | moments,
)
usual = {
    "current_state": states,
    "auth_token": words,
    "error_message": words,
    "creator": st.none() | words.map(lambda word: {"id": "usr_1", "email": word or ""}),
    "primary_version": st.none() | versions,
    "canary_version": st.none() | versions,
    "versions": st.lists(versions, max_size=3),
}
projects = st.sampled_from(["default", "apps", ""]).map(
    lambda name: {"result": {"id": "prj_1", "name": name}}
)


@given(st.fixed_dictionaries({}, optional=usual), projects)
def test_of_what_servers_send_it_says_what_the_models_say(fields, project):
    """Field by field."""
    said, whole = by_name(fields, project)
    assert said == whole is not None


texts = st.sampled_from(["", "x", "RUNNING", "2026-01-01T00:00:00Z", "2026-01-01 00:00", "1", "\ud800"])
values = st.one_of(texts, st.sampled_from([None, 0, 100, -1, 1.0, 1.5, True, "5", [], {}, [None], {"a": 1}]))
odd = {**{key: either | values for key, either in usual.items()}, "id": values, "base_url": values}
odd_versions = st.dictionaries(
    st.sampled_from(["id", "version", "current_state", "weight", "created_at"]), values
)
odd["primary_version"] = st.builds(
    lambda one, more: (one or {}) | more, usual["primary_version"], odd_versions
)


@given(
    st.fixed_dictionaries({}, optional=odd),
    projects | values | values.map(lambda value: {"result": {"id": "prj_1", "name": value}}),
)
@example({"current_state": ""}, {"result": {"id": "prj_1", "name": "default"}})
def test_whatever_it_says_the_models_say(fields, project):
    """Of any answer that both can read; the rest it leaves to them, whatever that is."""
    said, whole = by_name(fields, project)
    assert said is None or whole is None or said == whole


@given(st.binary(max_size=40) | values.map(lambda value: json.dumps(value).encode()))
def test_no_answer_breaks_it(body):
    """It is the models that complain."""
    assert answer(quick.status("svc"), body, body) is None
