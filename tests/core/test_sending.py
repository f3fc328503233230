from __future__ import annotations

import pytest

from anyservice_core import errors
from anyservice_core.effects import Request
from anyservice_core.models.wire import EPOCH, CloudWire, ServiceWire
from anyservice_core.operations import sending
from anyservice_core.operations.sending import exchange, place, send, send_page

GET = Request("GET", "/ext/v0/clouds/default", params={"sig": "secret"})
POST = Request("POST", "/api/v2/x", idempotent=False)
CLOUD = {"id": "cld_1", "name": "main", "invented_later": 1}


def test_an_answer_is_taken_out_of_its_envelope(hold, shapes):
    """Unknown keys do no harm."""
    assert hold(send(GET, CloudWire), shapes.result(CLOUD)).result.name == "main"


def test_a_null_where_none_may_be_is_a_field_that_is_not_there(hold, shapes):
    """Servers differ in which of the two they send; nulls that mean something stay."""
    version = shapes.version(ray_serve_config={"applications": [{"args": {"limit": None}}]}, placements=None)
    service = shapes.service(primary_version=version, versions=None, base_url=None, created_at=None)
    read = hold(send(GET, ServiceWire), shapes.result(service)).result
    assert (read.versions, read.base_url, read.created_at) == ([], "", EPOCH)
    assert read.primary_version.ray_serve_config["applications"] == [{"args": {"limit": None}}]


@pytest.mark.parametrize("field", ["id", "name", "current_state"])
def test_a_null_for_what_must_be_there_is_an_error(talk, shapes, field):
    """Going on without it would be a guess."""
    with pytest.raises(errors.DecodeError, match=rf"result\.{field}: Field required"):
        talk.hold(send(GET, ServiceWire), [shapes.result(shapes.service(**{field: None}))])


def test_a_page_keeps_its_token(hold, shapes):
    """What comes next is in the metadata."""
    page = hold(send_page(GET, CloudWire), shapes.page(CLOUD, token="next")).result
    assert page.metadata.next_paging_token == "next"


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_server_that_cannot_now_is_asked_again(hold, shapes, status):
    """429 and 5xx pass."""
    talk = hold(send(GET, CloudWire), shapes.error(status), shapes.error(status), shapes.result(CLOUD))
    assert talk.result.id == "cld_1"
    assert [sleep.seconds for sleep in talk.sleeps] == [0.5, 1.0]
    assert all(sleep.jitter == 1.0 for sleep in talk.sleeps)


def test_a_lost_answer_is_asked_for_again(hold, shapes):
    """A dropped connection passes, and whoever watches is told."""
    talk = hold(send(GET, CloudWire), errors.TransportError("dropped"), shapes.result(CLOUD))
    assert talk.reports == ["GET /ext/v0/clouds/default failed, try 1 of 5: dropped"]


def test_patience_ends(talk, shapes):
    """After the last try the error is the caller's."""
    with pytest.raises(errors.UnavailableError):
        talk.hold(send(GET, CloudWire), [shapes.error(503)] * sending.ATTEMPTS)
    assert len(talk.requests) == sending.ATTEMPTS


def test_what_is_not_safe_to_repeat_is_not_repeated(talk, shapes):
    """No answer to such a request is the caller's to judge."""
    with pytest.raises(errors.UnavailableError):
        talk.hold(exchange(POST), [shapes.error(503)])
    with pytest.raises(errors.TransportError):
        talk.hold(exchange(POST), [errors.TransportError("dropped")])


def test_too_many_requests_says_that_nothing_was_done(hold, shapes):
    """A 429 may be repeated whatever the request."""
    assert hold(exchange(POST), shapes.error(429), shapes.result({})).result.status == 200


@pytest.mark.parametrize(
    ("value", "date", "pause"),
    [
        ("7", None, 7.0),
        ("1.5", None, 1.5),
        ("-3", None, 0.0),
        ("9999", None, sending.LONGEST_RETRY_AFTER_S),
        ("Mon, 23 Nov 2026 08:00:10 GMT", "Mon, 23 Nov 2026 08:00:00 GMT", 10.0),
        ("Mon, 23 Nov 2026 07:00:00 GMT", "Mon, 23 Nov 2026 08:00:00 GMT", 0.0),
        ("Monday, 23-Nov-26 08:00:10 GMT", "Mon, 23 Nov 2026 08:00:00 GMT", 10.0),
        ("Mon Nov 23 08:00:10 2026", "Mon, 23 Nov 2026 08:00:00 GMT", 10.0),
    ],
)
def test_retry_after_is_kept_to(hold, shapes, value, date, pause):
    """Seconds or a date, within reason, without jitter."""
    headers = {"Retry_After": value} | ({"Date": date} if date else {})
    talk = hold(send(GET, CloudWire), shapes.error(503, **headers), shapes.result(CLOUD))
    assert [(sleep.seconds, sleep.jitter) for sleep in talk.sleeps] == [(pause, 0.0)]


@pytest.mark.parametrize(
    "value",
    ["soon", "inf", "nan", "", "Mon, 99 Nov 2026 08:00:00 GMT", "1 Jan 99999999999999999999 0:0:0 GMT"],
)
def test_nonsense_in_retry_after_is_no_reason_to_fail(hold, shapes, value):
    """The usual pause is made instead."""
    error = shapes.error(503, Retry_After=value, Date="Mon, 23 Nov 2026 08:00:00 GMT")
    talk = hold(send(GET, CloudWire), error, shapes.result(CLOUD))
    assert talk.sleeps[0].seconds == sending.FIRST_PAUSE_S


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (301, errors.RejectedError),
        (400, errors.RejectedError),
        (401, errors.AuthError),
        (403, errors.AuthError),
        (404, errors.NotFoundError),
        (409, errors.ConflictError),
        (422, errors.RejectedError),
        (499, errors.RejectedError),
    ],
)
def test_a_refusal_has_a_kind_and_is_not_repeated(talk, shapes, status, kind):
    """Each status leads to the branch of the tree that says what to do."""
    with pytest.raises(errors.ApiError) as caught:
        talk.hold(exchange(GET), [shapes.error(status, "because", X_Trace_Id="t1")])
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.request_id) == (status, "t1")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"error": {"detail": "weight is wrong"}}', "weight is wrong"),
        (b'{"error": {"message": "sorry"}}', "sorry"),
        (
            b'{"error": {"message": "bad", "detail": [{"loc": ["body", "name"], "msg": "too long"}]}}',
            "bad; name: too long",
        ),
        (b'{"detail": "FastAPI says no"}', "FastAPI says no"),
        (b'{"error": "plain"}', "plain"),
        (b"upstream said no", "upstream said no"),
        (b"<html><body>Bad gateway</body></html>", "Bad Request"),
        (b"", "Bad Request"),
        (b"[1]", "Bad Request"),
        (b'{"error": {"detail": ["odd"]}}', "odd"),
    ],
)
def test_the_reason_is_found_in_any_shape(talk, shapes, body, text):
    """Servers and the proxies before them differ."""
    answer = sending.Reply(400, body)
    with pytest.raises(errors.RejectedError) as caught:
        talk.hold(exchange(GET), [answer])
    assert caught.value.message == f"{text} (HTTP 400 from GET /ext/v0/clouds/default)"


@pytest.mark.parametrize("said", ["", "the token is not this plane's"])
def test_a_wrong_token_is_told_once(talk, shapes, said):
    """What is wrong is the message, by the server or by us; the hint is where the token comes from."""
    with pytest.raises(errors.AuthError) as caught:
        talk.hold(exchange(GET), [shapes.error(401, said)])
    assert caught.value.message.startswith(said or "The token is missing, wrong or expired")
    assert "config show" in caught.value.hint
    assert str(caught.value).count("missing") == (not said)


def test_a_long_reason_is_cut(talk, shapes):
    """An error is a line, not a page."""
    with pytest.raises(errors.RejectedError) as caught:
        talk.hold(exchange(GET), [shapes.error(400, "x" * 10_000)])
    assert len(caught.value.message) < 600


@pytest.mark.parametrize("body", [b"not json", b"{}", b'{"result": null}', b'{"result": {"id": 1}}'])
def test_an_answer_of_another_shape_is_a_decode_error(talk, body):
    """The text names the field and holds no value."""
    with pytest.raises(errors.DecodeError) as caught:
        talk.hold(send(GET, CloudWire), [sending.Reply(200, body)])
    assert "GET /ext/v0/clouds/default" in str(caught.value)


def test_no_query_is_named():
    """A query may hold a signature or a token."""
    assert place(Request("PUT", "https://u:p@store.test:81/x?sig=secret")) == "PUT https://store.test:81/x"
