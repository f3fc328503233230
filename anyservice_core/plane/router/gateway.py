"""The gateway: one port at which every service is reached, by host or by path.

    http://recommender.localhost:8699/predict      the first label of the host is the service's name
    http://127.0.0.1:8699/recommender/predict      or the first part of the path, which the service does not see

Both lead to the backend that the service's own port leads to: the same token, weights, counters and log. Names are those of
the default project; the services of others are reached by their ids, as all are. A host is no place for capitals, so
of two names that differ in nothing else neither is found by host.

Its port is chosen when HAProxy first starts, the one below the services' first if that is free, and kept in a file, so
that addresses stay good over restarts.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from anyservice_core.plane.ports import is_free
from anyservice_core.plane.router.routes import Route

__all__ = ["HOSTS", "NAMES", "address", "choose", "chosen", "gateway_file", "names", "section"]

HOSTS, NAMES = "hosts.map", "names.map"
_TRIES: Final = 100

_SECTION: Final = """
frontend gateway
    bind 127.0.0.1:{port}
{beyond}    log global
    http-request set-log-level silent if {{ stopping }}
    acl grpc req.hdr(content-type) -m beg application/grpc
    use_backend next:grpc:gateway if {{ stopping }} grpc
    use_backend next:gateway if {{ stopping }}
    http-request set-var(txn.of_host) req.hdr(host),field(1,:),field(1,.),lower,map(hosts.map)
    acl by_host var(txn.of_host) -m found
    http-request set-var(txn.service) var(txn.of_host) if by_host
    http-request set-var(txn.service) path,field(2,/),map(names.map) if !by_host
    acl known var(txn.service) -m found
    http-request return status 404 content-type application/json string '{{"detail":"no service of this name: ask by http://<service>.localhost:{port}/ or http://127.0.0.1:{port}/<service>/"}}' if !known
    http-request set-header x-forwarded-prefix /%[path,field(2,/)] if !by_host
    http-request replace-path ^/[^/]+/?(.*) /\\1 if !by_host
    use_backend grpc:%[var(txn.service)] if grpc
    use_backend %[var(txn.service)]

backend next:gateway
    server worker 127.0.0.1:{port}

backend next:grpc:gateway
    server worker 127.0.0.1:{port} proto h2
"""


def gateway_file(state_dir: Path) -> Path:
    return state_dir / "router" / "gateway.json"


def section(port: int, beyond: str = "") -> str:
    """Give HAProxy's lines for it; ``beyond`` are those that let other machines in."""
    return _SECTION.format(port=port, beyond=beyond)


def names(routes: Sequence[Route]) -> dict[str, dict[str, str]]:
    """Give the map files that lead from a name to a service."""
    named = [(route.name, route.service_id) for route in routes if route.name]
    found = [*((route.service_id, route.service_id) for route in routes), *named]
    alike = Counter(name.lower() for name, _ in found)
    return {
        NAMES: dict(found),
        HOSTS: {
            name.lower(): id for name, id in found if alike[name.lower()] == 1 and not _of_no_service(name)
        },
    }


def _of_no_service(name: str) -> bool:
    """Whether this is how a host begins that means the machine: ``127.0.0.1``, ``localhost``."""
    return name.isdigit() or name.lower() == "localhost"


def address(state_dir: Path) -> str | None:
    """Give the address at which services are to be found, for people; ``None`` before the first one was deployed."""
    kept = _kept(gateway_file(state_dir))
    return f"http://127.0.0.1:{kept['port']}" if kept else None


def chosen(path: Path, wanted: int) -> int | None:
    """Give the port that was chosen when this one was wanted, if one was."""
    kept = _kept(path)
    return kept["port"] if kept and kept["wanted"] == wanted else None


def _kept(path: Path) -> dict[str, int] | None:
    with suppress(OSError, ValueError, TypeError, KeyError):
        kept = json.loads(path.read_text())
        return {name: int(kept[name]) for name in ("port", "wanted")}
    return None


def choose(path: Path, wanted: int, services: Sequence[int] = ()) -> None:
    """Choose the port for an HAProxy that is about to have it: that of before, or another if it is taken.

    ``services`` are the ports that the same HAProxy is about to have for them.
    """
    before = chosen(path, wanted)
    candidates = (*([before] if before else []), *_downwards(wanted))
    port = next((port for port in candidates if port not in services and is_free(port)), None)
    if port not in {None, before}:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text(json.dumps({"wanted": wanted, "port": port}))


def _downwards(first: int) -> Iterator[int]:
    """Services' own ports go upwards from theirs, so these are out of their way."""
    yield from range(first, max(first - _TRIES, 1023), -1)
