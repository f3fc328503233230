"""The plane's memory: services, events and traffic totals in one SQLite file.

A service is one row with its versions inside, written whole in one transaction, so a reader never
sees half a change. The file is private to its owner (mode 0600): it holds query tokens.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anyservice_core.errors import PlaneError
from anyservice_core.plane.state import Service

__all__ = ["KEEP_EVENTS", "Event", "Store"]

SCHEMA_VERSION = 2
KEEP_EVENTS = 10_000
_SERVICES = """
CREATE TABLE services (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, project_id TEXT NOT NULL, state TEXT NOT NULL,
    archived INTEGER NOT NULL, port INTEGER NOT NULL,
    created_at REAL NOT NULL, updated_at REAL NOT NULL, deployed_at REAL NOT NULL, document TEXT NOT NULL
);
CREATE INDEX services_by_name ON services (name);
CREATE INDEX services_by_state ON services (state);
CREATE INDEX services_listed ON services
    (archived, name, project_id, state, created_at, updated_at, deployed_at);
"""
SCHEMA = (
    _SERVICES
    + """
CREATE TABLE events (
    number INTEGER PRIMARY KEY, service_id TEXT NOT NULL, version_id TEXT, at REAL NOT NULL,
    kind TEXT NOT NULL, message TEXT NOT NULL
);
CREATE INDEX events_by_service ON events (service_id, number);
CREATE TABLE traffic (version_id TEXT PRIMARY KEY, service_id TEXT NOT NULL, document TEXT NOT NULL);
CREATE TABLE notes (name TEXT PRIMARY KEY, document TEXT NOT NULL);
"""
)
# What leads from each schema to the next, in one transaction.
_MIGRATIONS = {
    1: f"""
ALTER TABLE services RENAME TO services_before;
DROP INDEX services_by_name;
{_SERVICES}
INSERT INTO services SELECT id, name, project_id, state, archived, port,
    json_extract(document, '$.created_at'), json_extract(document, '$.updated_at'),
    json_extract(document, '$.primary.created_at'), document
    FROM services_before ORDER BY services_before.rowid;
DROP TABLE services_before;
""",  # noqa: S608
}


@dataclass(frozen=True)
class Event:
    """Something that happened to a service, for the record; ``number`` is given by the store."""

    service_id: str
    at: float
    kind: str
    message: str
    version_id: str | None = None
    number: int = 0


class Store:
    """Opens or creates the file at ``path``; ``None`` keeps everything in memory, for tests.

    ``durable`` waits with each change until the disk has it. One connection guarded by a lock: the plane is one process, and a change is a short thing.
    """

    def __init__(self, path: Path | None, *, durable: bool = False) -> None:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
        self._lock = threading.RLock()
        self._read: dict[str, tuple[str, Service]] = {}  # what each text was last read as; values are frozen
        self._db = sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None)
        self._prepare(path, "FULL" if durable else "NORMAL")

    def _prepare(self, path: Path | None, synchronous: str) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        # NORMAL hands a change to the kernel, which is enough for a plane that is killed, and costs nothing. When the
        # power fails, what the kernel had not written yet is gone, half a minute as a rule on Linux: the file is whole,
        # but older. Each tick with traffic is a change, so FULL is a sync of the disk four times a second.
        self._db.execute(f"PRAGMA synchronous = {synchronous}")
        (found,) = self._db.execute("PRAGMA user_version").fetchone()
        if found > SCHEMA_VERSION:
            raise PlaneError(
                f"{path} was written by a newer anyservice (schema {found}, this one knows {SCHEMA_VERSION}).",
                hint="Upgrade anyservice, or use another ANYSERVICE_STATE_DIR.",
            )
        script = SCHEMA if found == 0 else "".join(_MIGRATIONS[n] for n in range(found, SCHEMA_VERSION))
        if found != SCHEMA_VERSION:
            self._db.executescript(f"BEGIN;{script};PRAGMA user_version = {SCHEMA_VERSION};COMMIT")

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold the store for a read-decide-write; all of it is written or none."""
        with self._lock:
            if self._db.in_transaction:  # already inside one
                yield
                return
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")  # fails on a full disk, and leaves the transaction open
            except BaseException:
                with suppress(sqlite3.OperationalError):  # it may have been rolled back already
                    self._db.execute("ROLLBACK")
                raise

    # ── services ──

    def services(self) -> list[Service]:
        """Give every service, archived ones too, oldest first."""
        return self.select("", (), "rowid")

    def living(self) -> list[Service]:
        """Give every service that has not ended, oldest first."""
        return self.select("state != 'TERMINATED'", (), "rowid")

    def select(
        self, where: str, values: Sequence[Any], order: str, *, limit: int = -1, offset: int = 0
    ) -> list[Service]:
        """Give the services for which this SQL holds. ``where`` and ``order`` are code; what users say is a value.

        With a limit they are looked for in an index, so that none but those that are given is read.
        """
        condition = f"WHERE {where}" if where else ""
        ordered = f"FROM services {condition} ORDER BY {order}"
        with self._lock:
            if limit < 0:
                rows = self._db.execute(f"SELECT id, document {ordered}", values).fetchall()
            else:
                found = self._db.execute(f"SELECT rowid {ordered} LIMIT ? OFFSET ?", (*values, limit, offset))
                rows = [self._row(number) for (number,) in found.fetchall()]
        return [self._service(*row) for row in rows]

    def _row(self, number: int) -> tuple[str, str]:
        row = self._db.execute("SELECT id, document FROM services WHERE rowid = ?", (number,)).fetchone()
        return (row[0], row[1])

    def count(self, where: str, values: Sequence[Any]) -> int:
        """Count the services for which this SQL holds."""
        with self._lock:
            (count,) = self._db.execute(
                f"SELECT count(*) FROM services {f'WHERE {where}' if where else ''}",  # noqa: S608
                values,
            ).fetchone()
        return int(count)

    def _service(self, service_id: str, document: str) -> Service:
        """Read a service; the text that was read last is not read again."""
        known = self._read.get(service_id)
        if known is None or known[0] != document:
            known = self._read[service_id] = (document, Service.model_validate_json(document))
        return known[1]

    def service(self, service_id: str) -> Service | None:
        return next(iter(self.select("id = ?", (service_id,), "rowid")), None)

    def find(self, name: str, project_id: str) -> Service | None:
        """Find the service of this very name that is not archived."""
        found = self.select("name = ? AND project_id = ? AND archived = 0", (name, project_id), "rowid")
        return next(iter(found), None)

    def ports(self) -> set[int]:
        """Give the ports that services have, those that ended too: they have it still when they are restarted."""
        with self._lock:
            return {port for (port,) in self._db.execute("SELECT port FROM services")}

    def save(self, service: Service) -> None:
        with self._lock:
            self._db.execute(
                "INSERT INTO services VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
                "name = excluded.name, project_id = excluded.project_id, state = excluded.state, "
                "archived = excluded.archived, port = excluded.port, created_at = excluded.created_at, "
                "updated_at = excluded.updated_at, deployed_at = excluded.deployed_at, "
                "document = excluded.document",
                (
                    service.id,
                    service.name,
                    service.project_id,
                    service.state,
                    service.archived,
                    service.port,
                    service.created_at,
                    service.updated_at,
                    service.primary.created_at,
                    service.model_dump_json(),
                ),
            )

    def delete(self, service_id: str) -> None:
        with self._lock:
            for table, column in (("services", "id"), ("events", "service_id"), ("traffic", "service_id")):
                self._db.execute(f"DELETE FROM {table} WHERE {column} = ?", (service_id,))  # noqa: S608
            self._read.pop(service_id, None)

    # ── events ──

    def note(self, event: Event) -> None:
        with self._lock:
            self._db.execute(
                "INSERT INTO events (service_id, version_id, at, kind, message) VALUES (?, ?, ?, ?, ?)",
                (event.service_id, event.version_id, event.at, event.kind, event.message),
            )

    def events(self, service_id: str, *, limit: int = 100) -> list[Event]:
        """Give the newest ``limit`` events of a service, oldest first."""
        with self._lock:
            rows = self._db.execute(
                "SELECT service_id, at, kind, message, version_id, number FROM events WHERE service_id = ? "
                "ORDER BY number DESC LIMIT ?",
                (service_id, limit),
            ).fetchall()
        return [Event(*row) for row in reversed(rows)]

    def events_after(self, number: int) -> list[Event]:
        """Give the events of all services that were noted after the one of this number, oldest first."""
        with self._lock:
            rows = self._db.execute(
                "SELECT service_id, at, kind, message, version_id, number FROM events WHERE number > ? ORDER BY number",
                (number,),
            ).fetchall()
        return [Event(*row) for row in rows]

    def newest_event(self) -> int:
        """Give the number of the event that was noted last; 0 if none was."""
        with self._lock:
            (number,) = self._db.execute("SELECT max(number) FROM events").fetchone()
        return number or 0

    def forget_events(self, *, keep: int = KEEP_EVENTS) -> int:
        """Remove all but the newest events of each service; give how many went."""
        ranked = "SELECT number, row_number() OVER (PARTITION BY service_id ORDER BY number DESC) AS age FROM events"
        with self._lock:
            gone = self._db.execute(
                f"DELETE FROM events WHERE number IN (SELECT number FROM ({ranked}) WHERE age > ?)",  # noqa: S608
                (keep,),
            )
        return gone.rowcount

    # ── traffic totals and other notes ──

    def traffic(self, service_id: str) -> dict[str, dict[str, Any]]:
        with self._lock:
            rows = self._db.execute(
                "SELECT version_id, document FROM traffic WHERE service_id = ?", (service_id,)
            ).fetchall()
        return {version_id: json.loads(document) for version_id, document in rows}

    def save_traffic(self, service_id: str, totals: Mapping[str, Mapping[str, Any]]) -> None:
        with self._lock:
            self._db.executemany(
                "INSERT INTO traffic VALUES (?, ?, ?) ON CONFLICT (version_id) DO UPDATE SET "
                "document = excluded.document",
                [(version_id, service_id, json.dumps(total)) for version_id, total in totals.items()],
            )

    def recall(self, name: str) -> Any:
        """Read back what ``remember`` kept under this name; ``None`` if nothing."""
        with self._lock:
            row = self._db.execute("SELECT document FROM notes WHERE name = ?", (name,)).fetchone()
        return json.loads(row[0]) if row else None

    def remember(self, name: str, value: Any) -> None:
        with self._lock:
            self._db.execute(
                "INSERT INTO notes VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET document = excluded.document",
                (name, json.dumps(value)),
            )
