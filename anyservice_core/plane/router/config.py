"""What HAProxy shall do, and the text that tells it so.

Two fixed seats, ``a`` and ``b``, for each service: which of them is primary or canary is the plane's
knowledge and never HAProxy's. A seat's address, weight and state are moved in the running process,
so only another *set* of services, ports or open doors needs another process (a reload).

The text always holds the whole desired state, weights and addresses included, so a start or a
reload at any time loses nothing and no server-state file is needed. Tokens are not in the text but
in a map file of mode 0600 beside it, and versions in another, because HAProxy can change an entry
of a map while it runs.

Lines that were paid for:

* ``idle-close-on-response``: without it a reload breaks one keep-alive request in some thousand.
* ``http-reuse always``: what keeps others from it, a server that closes an idle connection just as a request is
  written to it, cannot happen here: hosts keep idle connections for good (``KEPT_S``), and only HAProxy closes them.
  A connection for each request would cost Serve's proxy a third of a millisecond. How long a user's connection is kept
  is the frontend's own matter, and what ``keep_alive_timeout_s`` of a service says.
* ``retry-on conn-failure`` with ``redispatch``: nothing was sent yet, so another seat may take it.
* ``empty-response``: a version that dies takes its requests along. Whoever asks by GET, HEAD or OPTIONS asks for
  nothing to be done, so if nothing at all was answered, the other seat may be asked the same. All other methods are
  for one version only (``disable-l7-retry``), since that may have done what was asked before it died. ``retries 1``:
  what kills one version might kill the next one, so none is asked twice.
* ``force-persist``: a request that names its version is for that one or for nobody; no other may answer
  when it cannot be reached.
* ``log stdout``: the access log (``access``). What an old worker hands on is logged by the one that it goes to.
* ``stopping``: after a reload the old worker still holds its clients' idle connections, but its weights
  and addresses can be changed no more. What comes in on them goes to the port itself, where the new
  worker listens, and so by the present weights.
* a backend of its own for gRPC, where a version has it: that is HTTP/2 to the end, at the port after the version's
  address. Clients ask at the service's one port, by the same token, and are split by the same weights.
* the table ``took``: how many answers began within so many milliseconds, for a histogram. HAProxy itself
  knows but the mean of the last thousand.
* the table ``unanswered``: HAProxy's own ``eresp`` counts some failures twice and connection failures
  not at all. Here each answer that HAProxy had to make up counts once, at the seat that failed last. Where a
  connection that was used before breaks off, it makes up none and closes the client's: ``srv_abrt`` counts those.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from anyservice_core.plane.router.access import FORMAT
from anyservice_core.plane.router.gateway import section
from anyservice_core.plane.router.routes import SLOTS, Beyond, Route, Server, Slot, grpc_of

__all__ = ["BUCKETS_MS", "GRPC", "NOBODY", "TOKENS", "VERSIONS", "maps", "render", "structure"]

TOKENS, VERSIONS = "tokens.map", "versions.map"
# Upper ends of the histogram's buckets, in milliseconds; after them come all answers, and the sum of their times.
BUCKETS_MS = (5, 10, 25, 50, 100, 250, 500, 1000, 2500, 10_000)
NOBODY = "-"  # an empty seat's version
GRPC = "grpc:"  # before a service's name: the seats where its versions answer gRPC
NOWHERE = ("127.0.0.1", 1)  # an empty seat's address


def structure(routes: Sequence[Route], gateway: int | None = None) -> str:
    """Give a mark that changes whenever another process is needed: services, ports, open doors, the text itself."""
    empty = [replace(r, token=r.token and "x", second=None, servers=dict.fromkeys(SLOTS)) for r in routes]
    return hashlib.sha256(render(empty, gateway).encode()).hexdigest()


def maps(routes: Sequence[Route]) -> dict[str, dict[str, str]]:
    """Give the content of the map files whose entries can change while HAProxy runs, by file name."""
    seats = [(route, slot, route.servers.get(slot)) for route in routes for slot in SLOTS]
    tokens = {route.service_id: route.token for route in routes if route.token is not None}
    seconds = {f"{r.service_id}/2": r.second or r.token for r in routes if r.token is not None}
    return {
        TOKENS: {**tokens, **seconds},
        VERSIONS: {f"{r.service_id}/{slot}": s.version_id if s else NOBODY for r, slot, s in seats},
    }


def render(routes: Sequence[Route], gateway: int | None = None) -> str:
    """Give the configuration text for these routes, in an order that does not depend on theirs.

    ``gateway`` is the port at which all of them are reached, if there is one.
    """
    ordered = sorted(routes, key=lambda route: route.service_id)
    return _HEAD + _gateway(ordered, gateway) + "".join(_service(route) for route in ordered)


def _gateway(routes: Sequence[Route], port: int | None) -> str:
    beyond = next((route.beyond for route in routes if route.beyond), None)
    return section(port, _bind(beyond, port) if beyond else "") if port else ""


def _service(route: Route) -> str:
    name, port = route.service_id, route.port
    beyond = "" if route.beyond is None else _bind(route.beyond, port)
    kept = f"    timeout http-keep-alive {route.keep_alive_s}s\n" if route.keep_alive_s else ""
    frontend = partial(_FRONTEND.format, name=name, port=port, beyond=beyond, kept=kept)
    servers = "".join(_server(slot, route.servers.get(slot)) for slot in SLOTS)
    if not route.grpc:
        return frontend(grpc="") + _backend(route, name, servers)
    named = _GRPC_FRONTEND.format(name=name)
    others = "".join(_server(slot, grpc_of(route.servers.get(slot)), " proto h2") for slot in SLOTS)
    return (
        frontend(grpc=named)
        + _GRPC_NEXT.format(name=name, port=port)
        + _backend(route, name, servers)
        + _backend(route, GRPC + name, others)
    )


def _bind(beyond: Beyond, port: int) -> str:
    tls = f" ssl crt {beyond.pem} alpn h2,http/1.1 ssl-min-ver TLSv1.2" if beyond.pem else ""
    address = f"[{beyond.address}]" if ":" in beyond.address else beyond.address
    return f"    bind {address}:{port}{tls}\n"


def _backend(route: Route, backend: str, servers: str) -> str:
    name = route.service_id
    door = "" if route.token is None else _DOOR.format(name=name)
    return _BACKEND.format(name=name, backend=backend, door=door, servers=servers, took=_TOOK)


def _server(slot: Slot, server: Server | None, protocol: str = "") -> str:
    host, port = server.address if server else NOWHERE
    tail = f"weight {server.weight}" if server else "weight 0 disabled"
    return f"    server {slot} {host}:{port} {tail}{protocol}\n"


_HEAD = """\
# Written by anyservice; changes by hand are lost.
global
    default-path config
    nbthread 1
    noreuseport
    hard-stop-after 1h
    log stdout format raw local0 info

defaults
    mode http
    option dontlognull
    option idle-close-on-response
    option forwardfor
    option redispatch 1
    retries 1
    retry-on conn-failure empty-response
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout http-request 30s
    timeout http-keep-alive 75s
    http-error status 502 content-type application/json string '{"detail":"the version that took this request broke off without an answer"}'
    http-error status 503 content-type application/json string '{"detail":"no version of this service is ready"}' hdr Retry-After 1
    http-error status 504 content-type application/json string '{"detail":"the version that took this request did not answer in time"}'
"""
_HEAD += f"""\
    log-format "{FORMAT}"

backend unanswered
    stick-table type string len 128 size 1m store gpc(1)

backend took
    stick-table type string len 128 size 1m store gpc({len(BUCKETS_MS) + 2})
"""
_TOOK = "".join(
    f"    http-response sc-inc-gpc({number},2) if {{ var(txn.ms) -m int le {most} }}\n"
    for number, most in enumerate(BUCKETS_MS)
) + (
    f"    http-response sc-inc-gpc({len(BUCKETS_MS)},2)\n"
    f"    http-response sc-add-gpc({len(BUCKETS_MS) + 1},2) var(txn.ms)\n"
)

_DOOR = """\
    http-request set-var(txn.want) str({name}),map(tokens.map)
    http-request set-var(txn.also) str({name}/2),map(tokens.map)
    http-request set-var(txn.got) http_auth_bearer
    http-request return status 401 content-type application/json string '{{"detail":"missing or invalid bearer token"}}' hdr WWW-Authenticate Bearer unless {{ var(txn.got),secure_memcmp(txn.want) }} || {{ var(txn.got),secure_memcmp(txn.also) }}
"""

_FRONTEND = """
frontend in:{name}
    bind 127.0.0.1:{port}
{beyond}{kept}    log global
    http-request set-log-level silent if {{ stopping }}
{grpc}    use_backend next:{name} if {{ stopping }}
    default_backend {name}

backend next:{name}
    server worker 127.0.0.1:{port}
"""

_GRPC_FRONTEND = """\
    acl grpc req.hdr(content-type) -m beg application/grpc
    use_backend next:grpc:{name} if {{ stopping }} grpc
    use_backend grpc:{name} if grpc
"""

_GRPC_NEXT = """
backend next:grpc:{name}
    server worker 127.0.0.1:{port} proto h2
"""

_BACKEND = """
backend {backend}
    balance roundrobin
    http-reuse always
{door}    http-request set-var(txn.a) str({name}/a),map(versions.map)
    http-request set-var(txn.b) str({name}/b),map(versions.map)
    acl pinned req.hdr(x-anyservice-version) -m found
    acl pinned_a req.hdr(x-anyservice-version),strcmp(txn.a) eq 0
    acl pinned_b req.hdr(x-anyservice-version),strcmp(txn.b) eq 0
    http-request return status 404 content-type application/json string '{{"detail":"no such version takes requests here"}}' if pinned !pinned_a !pinned_b
    http-request disable-l7-retry unless {{ method GET HEAD OPTIONS }}
    http-request set-var(txn.began) date(0,ms)
    http-request track-sc0 str({name}/a) table unanswered
    http-request track-sc1 str({name}/b) table unanswered
    http-response set-var(txn.answered) bool(true)
    http-response track-sc2 str({name}/a) table took if {{ srv_name a }}
    http-response track-sc2 str({name}/b) table took if {{ srv_name b }}
    http-response set-var(txn.ms) date(0,ms),sub(txn.began)
{took}    http-after-response sc-inc-gpc(0,0) if {{ srv_name a }} !{{ var(txn.answered) -m bool }}
    http-after-response sc-inc-gpc(0,1) if {{ srv_name b }} !{{ var(txn.answered) -m bool }}
    http-after-response set-var(txn.by) var(txn.a) if {{ srv_name a }}
    http-after-response set-var(txn.by) var(txn.b) if {{ srv_name b }}
    http-after-response set-header x-anyservice-version %[var(txn.by)] if {{ var(txn.by) -m found }}
    force-persist if pinned
    use-server a if pinned_a
    use-server b if pinned_b
{servers}"""
