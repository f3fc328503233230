"""gRPC on the service's one port: by the same token, split by the same weights, and open to nobody else."""

from __future__ import annotations

import json
import socket
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import grpc
import httpx
import pytest
from google.protobuf.wrappers_pb2 import StringValue

from anyservice_core.errors import WaitFailedError
from anyservice_core.models.config import ServiceConfig
from anyservice_core.plane.engines.procfs import stats

pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]

PROTO = """
import grpc
from google.protobuf.wrappers_pb2 import StringValue

def add_EchoServicer_to_server(servicer, server):
    read, write = StringValue.FromString, StringValue.SerializeToString
    handlers = {
        "Say": grpc.unary_unary_rpc_method_handler(servicer.Say, read, write),
        "Count": grpc.unary_stream_rpc_method_handler(servicer.Count, read, write),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("chaos.Echo", handlers),))
"""
MAIN = """
from pathlib import Path
from google.protobuf.wrappers_pb2 import StringValue
from ray import serve

@serve.deployment(ray_actor_options={"num_cpus": 0.1})
class Echo:
    def __init__(self):
        self.tag = Path("version.txt").read_text()

    def __call__(self, request):
        return self.tag

    def Say(self, request):
        return StringValue(value=f"{self.tag} {request.value}")

    def Count(self, request):
        for number in range(int(request.value)):
            yield StringValue(value=f"{self.tag} {number}")

app = Echo.bind()
"""


def config(folder: Path, tag: str, named: str | None = None) -> ServiceConfig:
    app = folder / tag
    app.mkdir()
    (app / "main.py").write_text(MAIN)
    (app / "echo_grpc.py").write_text(PROTO)
    (app / "version.txt").write_text(tag)
    return ServiceConfig(
        name="svc",
        version_name=named or tag,
        working_dir=str(app),
        applications=[{"import_path": "main:app"}],
        grpc_options={
            "service_names": ["chaos.Echo"],
            "grpc_servicer_functions": ["echo_grpc:add_EchoServicer_to_server"],
        },
    )


class Caller:
    """A client of that service."""

    def __init__(self, channel: grpc.Channel, token: str) -> None:
        self._metadata = (("authorization", f"Bearer {token}"),)
        read, write = StringValue.FromString, StringValue.SerializeToString
        self._say = channel.unary_unary("/chaos.Echo/Say", write, read)
        self._count = channel.unary_stream("/chaos.Echo/Count", write, read)

    def say(self, word: str) -> str:
        return self._say(StringValue(value=word), metadata=self._metadata, timeout=20).value

    def count(self, number: int) -> list[str]:
        answers = self._count(StringValue(value=str(number)), metadata=self._metadata, timeout=20)
        return [answer.value for answer in answers]


@contextmanager
def calling(status, token=None):
    with grpc.insecure_channel(status.query_url.removeprefix("http://")) as channel:
        yield Caller(channel, token or status.query_auth_token)


def listening(session: int) -> set[str]:
    """Give the addresses at which processes of a session listen, as the kernel writes them."""
    mine = {link for s in stats() if s.session == session for link in _links(s.pid)}
    rows = [
        line.split()
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
    ]
    return {row[1] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in mine}


def _links(pid: int) -> list[str]:
    try:
        return [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return []


@pytest.mark.ray
def test_grpc_is_served_split_and_replaced_like_the_rest(make_plane, tmp_path):
    """Calls and streams pass; the weights hold; an update in place and a rollout lose no call; nobody else gets in."""
    plane = make_plane("ray")
    with plane.client() as client:
        goal = {"timeout_s": 200, "poll_interval_s": 0.2}
        client.deploy(config(tmp_path, "one"))
        status = client.wait("svc", **goal)
        with calling(status) as caller:
            assert caller.say("hello") == "one hello"
            assert caller.count(3) == ["one 0", "one 1", "one 2"]
            headers = {"Authorization": f"Bearer {status.query_auth_token}"}
            assert httpx.get(status.query_url, headers=headers, trust_env=False).text == "one"
            with calling(status, "wrong") as stranger, pytest.raises(grpc.RpcError) as refused:
                stranger.say("hello")
            assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
            version = status.primary_version.id
            _only_here(plane, version)

            client.deploy(config(tmp_path, "one+", named="one"), in_place=True)
            client.wait("svc", **goal)
            assert caller.say("hello") == "one+ hello"

            client.deploy(config(tmp_path, "two"), canary_percent=25)
            client.wait("svc", state="ROLLING_OUT", version="two", canary_weight=25, **goal)
            said = Counter(caller.say("hello") for _ in range(40))
            assert said == {"one+ hello": 30, "two hello": 10}
            client.shift("svc", canary_percent=100)
            client.wait("svc", version="two", **goal)
            assert {caller.say("hello") for _ in range(20)} == {"two hello"}


def _only_here(plane, version: str) -> None:
    """Neither HTTP nor gRPC of a version listens anywhere but on loopback."""
    hosts = plane.state_dir / "hosts" / version
    port = json.loads((hosts / "ready.json").read_text())["address"][1]
    session = json.loads((hosts / "host.json").read_text())["sid"]
    found = {a for a in listening(session) if int(a.rpartition(":")[2], 16) in (port, port + 1)}
    assert len(found) == 2
    local = socket.inet_aton("127.0.0.1")[::-1].hex().upper()
    mapped = f"0000000000000000FFFF0000{local}"  # the same, in a socket that could speak IPv6, too
    assert {address.partition(":")[0] for address in found} <= {local, mapped}


def test_who_cannot_answer_grpc_says_so(make_plane, tmp_path):
    """Without Serve's proxy there is none: the version fails, and the message says what to do."""
    plane = make_plane("process")
    with plane.client() as client:
        client.deploy(config(tmp_path, "one"))
        with pytest.raises(WaitFailedError, match=r"grpc_options.*--engine ray"):
            client.wait("svc", timeout_s=60, poll_interval_s=0.1)
