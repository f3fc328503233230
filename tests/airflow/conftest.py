"""Airflow for tests: a home of its own, no services, and a fake plane behind the hook."""

from __future__ import annotations

import asyncio
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from anyservice_core import ServiceConfig
from anyservice_core.testing import FakePlane

_NEW = ["standalone.py", "test_e2e.py"]  # import what Airflow 2 has elsewhere
collect_ignore_glob = [] if importlib.util.find_spec("airflow") else ["test_*.py"]
VERSION = (
    tuple(int(part) for part in importlib.metadata.version("apache-airflow").split(".")[:2])
    if importlib.util.find_spec("airflow")
    else (0, 0)
)

# Airflow reads its environment when it is imported, which test modules do when they are collected.
_HOME = Path(tempfile.mkdtemp(prefix="anyservice-airflow-"))
os.environ.update(
    AIRFLOW_HOME=str(_HOME),
    AIRFLOW__CORE__UNIT_TEST_MODE="True",
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__CORE__DAGS_FOLDER=str(_HOME / "dags"),
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{_HOME}/airflow.db",
    AIRFLOW__SCHEDULER__ENABLE_TRACEMALLOC="False",
    AIRFLOW__ANYSERVICE__LET_GO_S="0",  # no executor here
)
if VERSION < (3,):
    collect_ignore = _NEW
    os.environ["AIRFLOW__CORE__EXECUTOR"] = "SequentialExecutor"  # the one that takes SQLite

_NOT_OURS = ("airflow", "alembic", "fastapi", "flask", "sqlalchemy", "starlette", "structlog")
_OURS = "(airflow_provider|anyservice_core)"


def pytest_configure(config: pytest.Config) -> None:
    """Airflow and what it stands on warn about themselves; only our own warnings are ours to mend."""
    config.addinivalue_line(
        "markers", "needs_airflow(major, minor): about what Airflow has from then on; skipped on an older one"
    )
    for module in _NOT_OURS:
        for kind in ("DeprecationWarning", "PendingDeprecationWarning", "FutureWarning", "UserWarning"):
            config.addinivalue_line("filterwarnings", rf"ignore::{kind}:{module}(\.|$)")
    if VERSION < (3,):  # it stands on much that has aged since
        for kind in ("DeprecationWarning", "FutureWarning"):
            config.addinivalue_line("filterwarnings", f"ignore::{kind}")
            config.addinivalue_line("filterwarnings", rf"error::{kind}:{_OURS}(\.|$)")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for mark in item.iter_markers("needs_airflow"):
            if mark.args > VERSION:
                needed, here = (".".join(map(str, version)) for version in (mark.args, VERSION))
                item.add_marker(pytest.mark.skip(reason=f"needs Airflow {needed}, this is {here}"))


def pytest_unconfigure() -> None:
    shutil.rmtree(_HOME, ignore_errors=True)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def plane() -> Iterator[FakePlane]:
    with FakePlane() as plane:
        yield plane


@pytest.fixture
def config() -> ServiceConfig:
    return ServiceConfig(name="recommender", applications=[{"import_path": "main:app"}])


@pytest.fixture
def serving(plane: FakePlane, config: ServiceConfig) -> FakePlane:
    """The plane with version ``v1`` of the service serving all traffic."""
    with plane.client() as client:
        client.deploy(config.options(version_name="v1"))
        client.wait("recommender")
    return plane


@dataclass
class Store:
    """Stands for the task state store: it takes JSON and nothing else."""

    values: dict[str, str] = field(default_factory=dict)

    def get(self, key: str) -> Any:
        return json.loads(self.values.get(key, "null"))

    def forget(self) -> None:
        self.values.clear()

    def set(self, key: str, value: Any) -> None:
        self.values[key] = json.dumps(value)


@dataclass
class TaskInstance:
    """As much of a task instance as operators see."""

    xcoms: dict[str, Any] = field(default_factory=dict)

    def of_a_run(self) -> None:
        """Have the names that a real one has, which only some tests are about."""
        self.id, self.dag_id, self.run_id = "ti-1", "a_dag", "manual__1"
        self.task_id, self.map_index = "rollout", -1

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = json.loads(json.dumps(value))

    def xcom_pull(self, task_ids: Any = None, key: str = "return_value") -> Any:
        return self.xcoms.get(key)


@dataclass
class Airflow:
    """Runs one task as Airflow would, without Airflow around it.

    A deferred task's trigger is made anew from JSON, as in the triggerer, and resumed with JSON, as in
    another worker. ``triggers`` are those that ran, ``deferred`` what was thrown for them.
    """

    plane: FakePlane
    ti: TaskInstance = field(default_factory=TaskInstance)
    store: Store = field(default_factory=Store)
    run_id: str = "manual__1"
    more: dict[Any, Any] = field(default_factory=dict)
    on_event: Callable[[Any], None] = lambda _: None
    triggers: list[Any] = field(default_factory=list)
    deferred: list[Any] = field(default_factory=list)

    @property
    def hook_class(self) -> type[Any]:
        from airflow_provider.hooks import ServiceHook, report

        plane = self.plane

        def listening(on_report: Any = report, **options: Any) -> dict[str, Any]:
            def tell(event: Any) -> None:
                on_report(event)
                self.on_event(event)

            return {"on_report": tell, **options}

        class FakeHook(ServiceHook):
            def get_conn(self, **options: Any) -> Any:
                return plane.client(**listening(**options))

            async def aget_conn(self, **options: Any) -> Any:
                return plane.async_client(**listening(**options))

        return FakeHook

    @property
    def context(self) -> dict[str, Any]:
        return {
            "ti": self.ti,
            "run_id": self.run_id,
            "task_state_store": self.store,
            "params": {},
            **self.more,
        }

    def ready(self, operator: Any) -> Any:
        """Render the operator's templates and let it see the fake plane."""
        operator.hook_class = self.hook_class
        operator.render_template_fields(self.context)
        return operator

    def run(self, operator: Any) -> Any:
        """Carry a task out to its end."""
        from airflow.providers.common.compat.sdk import TaskDeferred

        self.ready(operator)
        call = lambda: operator.execute(self.context)  # noqa: E731
        while True:
            try:
                return call()
            except TaskDeferred as deferred:
                self.deferred.append(deferred)
                event = self.fire(deferred.trigger)
                method = deferred.method_name
                call = lambda: operator.resume_execution(method, {"event": event}, self.context)  # noqa: B023, E731

    def fire(self, trigger: Any) -> Mapping[str, Any]:
        """Run a trigger, made anew from what it was serialised to, to its first event."""
        path, arguments = trigger.serialize()
        made = _import(path)(**json.loads(json.dumps(arguments)))
        made.hook_class = self.hook_class
        self.triggers.append(made)
        return json.loads(json.dumps(asyncio.run(_first(made)).payload))  # type: ignore[no-any-return]


async def _first(trigger: Any) -> Any:
    async for event in trigger.run():
        return event
    raise AssertionError("the trigger ended without an event")


def _import(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


@pytest.fixture
def airflow(plane: FakePlane) -> Airflow:
    return Airflow(plane)


@pytest.fixture(scope="session")
def database() -> None:
    """Airflow's tables, in a SQLite file."""
    from airflow.utils.db import initdb

    initdb()


# ── what Airflow 2 calls otherwise ──


@pytest.fixture
def serialised() -> Any:
    """Makes of a DAG what is in Airflow's database, and a DAG of that again."""
    from airflow.serialization import serialized_objects

    return getattr(serialized_objects, "DagSerialization" if VERSION >= (3,) else "SerializedDAG")


@pytest.fixture
def dag_bag(tmp_path: Path) -> Callable[[Path], Any]:
    """Reads the DAGs of a file."""
    return lambda path: read_dags(path, tmp_path)


def read_dags(path: Path, folder: Path) -> Any:
    """Read a file's DAGs; those of Airflow 2 say ``common.compat.sdk`` where the examples say ``sdk``, and nothing else."""
    if VERSION >= (3,):
        from airflow.dag_processing.dagbag import DagBag

        return DagBag(path)
    from airflow.models.dagbag import DagBag as OldDagBag

    text = path.read_text()
    if "airflow.sdk" not in text:
        return OldDagBag(path, include_examples=False)
    if folder != path.parent:
        shutil.copytree(path.parent, folder, dirs_exist_ok=True)
    ported = folder / path.name
    ported.write_text(re.sub(r"airflow\.sdk(\.exceptions)?", "airflow.providers.common.compat.sdk", text))
    return OldDagBag(ported, include_examples=False)
