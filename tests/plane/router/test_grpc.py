"""gRPC through the real HAProxy, to servers of this process."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import grpc
import pytest

from anyservice_core.plane.router import Route, Server
from tests.plane.router.test_router import free_port, place, router  # noqa: F401  fixtures

pytestmark = pytest.mark.real
TOKEN = (("authorization", "Bearer tok"),)


@contextmanager
def version(tag: str, weight: int):
    """A version that answers its tag, and counts on by a stream."""

    def count(request, context):
        for _ in range(int(request)):
            yield tag.encode()

    handlers = {
        "Say": grpc.unary_unary_rpc_method_handler(lambda request, context: tag.encode()),
        "Count": grpc.unary_stream_rpc_method_handler(count),
    }
    server = grpc.server(ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.T", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield Server(f"ver_{tag}", ("127.0.0.1", port - 1), weight, grpc=True)
    server.stop(None)


def weighed(server: Server, weight: int) -> Server:
    return Server(server.version_id, server.address, weight, grpc=True)


@pytest.fixture
def one():
    with version("one", 100) as server:
        yield server


@pytest.fixture
def two():
    with version("two", 0) as server:
        yield server


def route(port, a, b):
    return Route("svc", port, "tok", {"a": a, "b": b}, grpc=True)


def say(channel, **more):
    return channel.unary_unary("/t.T/Say")(b"", timeout=20, metadata=TOKEN, **more).decode()


def test_calls_are_split_exactly_and_counted(router, one, two):  # noqa: F811
    """On one connection, 75 to 25, as everything else; and each counts for who answered."""
    port = free_port()
    router.apply([route(port, weighed(one, 75), weighed(two, 25))])
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        assert Counter(say(channel) for _ in range(100)) == {"one": 75, "two": 25}
        streamed = channel.unary_stream("/t.T/Count")(b"3", timeout=20, metadata=TOKEN)
        assert len(list(streamed)) == 3
    counts = {counter.slot: counter.requests for counter in router.counters()}
    assert sum(counts.values()) == 101
    assert counts["b"] in {25, 26}


def test_without_the_token_no_call_gets_in(router, one):  # noqa: F811
    """What is a 401 elsewhere is UNAUTHENTICATED here."""
    port = free_port()
    router.apply([route(port, one, None)])
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel, pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary("/t.T/Say")(b"", timeout=20)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_a_call_may_be_pinned(router, one, two):  # noqa: F811
    """By the same name as a request, and to a version that has no weight."""
    port = free_port()
    router.apply([route(port, one, two)])
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        pinned = (*TOKEN, ("x-anyservice-version", "ver_two"))
        assert channel.unary_unary("/t.T/Say")(b"", timeout=20, metadata=pinned) == b"two"


def test_no_call_is_lost_while_weights_move_and_workers_change(router, one, two):  # noqa: F811
    """One channel lives through weights and reloads: its calls are all answered, and by the present weights."""
    port, failures, answers, stop = free_port(), [], Counter(), threading.Event()
    router.apply([route(port, one, two)])

    def call(channel) -> None:
        while not stop.is_set():
            try:
                answers[say(channel)] += 1
            except grpc.RpcError as error:
                failures.append(repr(error))

    with ExitStack() as stack:
        channel = stack.enter_context(grpc.insecure_channel(f"127.0.0.1:{port}"))
        threads = [threading.Thread(target=call, args=(channel,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for number, weight in enumerate((10, 50, 90, 100)):
            mine = route(port, weighed(one, 100 - weight), weighed(two, weight))
            router.apply([mine])
            others = [Route(f"other{number}", free_port(), None, {"a": None, "b": None})]
            router.apply([mine, *others])
            goal = sum(answers.values()) + 60
            while sum(answers.values()) < goal and not failures:
                stop.wait(0.01)
        stop.set()
        for thread in threads:
            thread.join()
        assert say(channel) == "two"
    assert failures == []
    assert answers["two"] > 60
