"""A real plane, services on disk for it, and what is seen of them from outside."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from anyservice_core import Client, ServiceStatus
from anyservice_core.plane import control, daemon

__all__ = ["Life", "real_plane"]

ASGI = '''
import importlib.util, json, os

def build(args):
    """Give an application that tells what it was given."""
    seen = {
        "version": VERSION,
        "args": args,
        "env": {key: os.environ[key] for key in ("GREETING", "EMPTY") if key in os.environ},
        "files": sorted(name for name in os.listdir(".") if not name.startswith("__")),
        "helper": importlib.util.find_spec("helper") is not None,
    }

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            return await send({"type": "lifespan.shutdown.complete"})
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(seen).encode()})

    return app

app = build({})
'''


@contextmanager
def real_plane(state_dir: Path, ports: int) -> Iterator[dict[str, Any]]:
    """A plane in the background whose engine is ``process``; give its record, and leave nothing of it."""
    settings = daemon.PlaneSettings(
        state_dir=state_dir, port=0, engine="process", first_service_port=ports, ladder_hold_s=0.3
    )
    try:
        yield control.spawn(settings)
    finally:
        control.down(state_dir)


@dataclass
class Life:
    """A service's versions on disk, and what is seen of it from outside."""

    name: str
    folder: Path
    client: Client

    def app(self, version: str) -> Path:
        """Write an application that answers ``version``, and a file beside it that nobody needs, once.

        To the official client a file with another time is another content.
        """
        app = self.folder / f"app-{version}"
        if not app.exists():
            app.mkdir()
            (app / "main.py").write_text(f"VERSION = {version!r}\n{ASGI}")
            (app / "notes.txt").write_text("nobody needs this")
        return app

    def config(self, version: str, *, named: str | None = None, **fields: Any) -> dict[str, Any]:
        """Give the config that deploys an application that answers ``version``, so ``named``."""
        return {
            "name": self.name,
            "version_name": named or version,
            "applications": [{"import_path": "main:app"}],
            "working_dir": str(self.app(version)),
            "env_vars": {"GREETING": "hello"},
            **fields,
        }

    def file(self, version: str, *, named: str | None = None, **fields: Any) -> str:
        """The same as a YAML file."""
        path = self.folder / f"{version}.yaml"
        path.write_text(yaml.safe_dump(self.config(version, named=named, **fields)))
        return str(path)

    def seen(self, **place: str) -> ServiceStatus:
        return self.client.status(self.name, **place)

    def told(self, token: str | None = None, **place: str) -> dict[str, Any]:
        """What the service says of itself to a request with its token."""
        status = self.seen(**place)
        headers = {"Authorization": f"Bearer {token or status.query_auth_token}"}
        answer = httpx.get(str(status.query_url), headers=headers, timeout=30, trust_env=False)
        return dict(json.loads(answer.text))

    def answers(self) -> str:
        """The version that answers."""
        return str(self.told()["version"])

    def wait(self, **goal: Any) -> None:
        self.client.wait(self.name, poll_interval_s=0.2, timeout_s=60, **goal)
