"""The order of events. Everything that takes its time is another room's; here is only what comes when.

v1 serves      plane up, models trained, Airflow and Prefect made ready meanwhile; v1 deployed; traffic on
v2, Airflow    the DAG must succeed, and v2 be primary
v3, Prefect    the flow must fail, and v3 be gone
proof          traffic off, plane down, nobody left, questions answered
"""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from anyservice_core import AnyserviceError, Client, RolledBackError, ServiceStatus
from anyservice_core.settings import PlaneRecord
from dags_examples.demo.board import Board
from dags_examples.demo.checks import Check, Outcome, checks, splits
from dags_examples.demo.processes import Program, Programs, Stopped
from dags_examples.demo.scripts import Script, plane_down, plane_up
from dags_examples.demo.traffic import Record, Traffic
from dags_examples.demo.train import FAILS_PERCENT, SERVICE, Trained, held_out, train
from dags_examples.demo.watch import Look, Watcher

__all__ = ["CHAPTERS", "DemoError", "Story", "look_at"]

CHAPTERS = ("v1 serves", "v2, by an Airflow DAG", "v3, by a Prefect flow", "proof")
STEPS = (("v1", 100), ("v2", 10), ("v2", 50), ("v2", 100), ("v3", 10))
STARTS_WITHIN_S = 240.0
QUIET_S = 5.0  # how long each stable state is watched


class DemoError(RuntimeError):
    """The story cannot go on; the text says why and where to read more."""


@dataclass
class Story:
    """One run in ``work``. ``tell`` plays it; ``end`` may be called at any moment, once or more."""

    work: Path
    script: Script
    board: Board
    programs: Programs
    engine: str = "ray"
    rate: float = 40.0
    _traffic: Traffic | None = None
    _watcher: Watcher | None = None
    _client: Client | None = None
    _warm: list[threading.Thread] = field(default_factory=list)
    _codes: dict[str, int] = field(default_factory=dict)
    _down: bool = False
    _said: str = "nothing yet"

    @property
    def record(self) -> Record:
        return self.board.record

    def tell(self) -> list[Check]:
        """Play the whole story; give the answers. Raises ``DemoError`` where it cannot go on."""
        self._get_ready()
        self._deploy_v1()
        self._roll_out_v2()
        self._roll_out_v3()
        return self._prove()

    # ── chapters ──

    def _get_ready(self) -> None:
        self.board.wait("the control plane starts, the models are trained")
        self._warm = [self._aside(program) for program in self.script.warm]
        plane = self._aside(plane_up(self.work, self.engine))
        for trained in train(self.work):
            self.board.about[trained.version] = _about(trained)
        self.board.tell("demo", "two classifiers trained; their test digits become the requests")
        plane.join()
        self._must("plane-up", "the control plane did not start")
        self._watcher = self._watch(self._connect())
        self.board.tell(
            "plane", f"up, each version a {'Ray cluster' if self.engine == 'ray' else 'process'} of its own"
        )

    def _deploy_v1(self) -> None:
        self.board.wait("v1 starts" + (": a Ray cluster of its own" if self.engine == "ray" else ""))
        client = self._connect()
        client.deploy(self.work / "services" / "v1" / "service.yaml")
        status = client.wait(SERVICE, timeout_s=STARTS_WITHIN_S, poll_interval_s=0.5)
        self._traffic = Traffic(
            status.query_url, status.query_auth_token, held_out(self.work), rate=self.rate, record=self.record
        )
        self._traffic.start()
        self.board.tell("demo", f"requests begin: {self.rate:g} a second, digits that no model was shown")
        self.board.wait("v1 takes all traffic")
        self._watch_for(QUIET_S)

    def _roll_out_v2(self) -> None:
        self.board.begin(1)
        self.board.wait("Airflow loads the DAG")
        self._join_warm()
        self._run("airflow", self.script.roll_out_v2)
        self._must(self.script.roll_out_v2.name, "the DAG failed")
        primary = self._connect().status(SERVICE).primary_version
        if primary is None or _short(primary.name) != "v2":
            raise DemoError("The DAG ended well, but v2 is not the primary version.")
        self.board.wait("v2 takes all traffic")
        self._watch_for(QUIET_S)

    def _roll_out_v3(self) -> None:
        self.board.begin(2)
        self.board.wait("Prefect loads the flow")
        self._run("prefect", self.script.roll_out_v3)
        if self._codes[self.script.roll_out_v3.name] == 0:
            raise DemoError("The flow brought v3 to all traffic, which fails a quarter of its requests.")
        if not self._taken_back():
            self._must(self.script.roll_out_v3.name, "the flow did not end with v3 taken back")
        self.board.wait("v2 takes all traffic again")
        self._connect().wait(SERVICE, timeout_s=60, poll_interval_s=0.5)
        self._watch_for(QUIET_S)

    def _taken_back(self) -> bool:
        return self._codes.get(self.script.roll_out_v3.name) == RolledBackError.exit_code

    def _prove(self) -> list[Check]:
        self.board.begin(3)
        self.board.wait("the last answers come in, everything is stopped")
        status = self._connect().status(SERVICE)
        held = self._watcher.held if self._watcher else []
        self.end()
        left = self.programs.left(patience_s=10.0)
        outcome = Outcome(
            primary=_short(status.primary_version.name) if status.primary_version else None,
            living=[_short(version.name) for version in status.versions],
            promoted=self._codes[self.script.roll_out_v2.name] == 0,
            taken_back=self._taken_back(),
            left_processes=left,
        )
        self.board.begin(4)
        self.board.wait("done")
        return checks(outcome, splits(held, self.record, STEPS), self.record.all())

    # ── running things ──

    def _aside(self, program: Program) -> threading.Thread:
        thread = threading.Thread(target=self._run_quietly, args=(program,), name=program.name, daemon=True)
        thread.start()
        return thread

    def _run_quietly(self, program: Program) -> None:
        try:
            self._codes[program.name] = self.programs.run(program)
        except Stopped:
            self._codes[program.name] = -1

    def _run(self, who: str, program: Program) -> None:
        self._codes[program.name] = self.programs.run(program, lambda line: self._hear(who, line))

    def _hear(self, who: str, line: str) -> None:
        """Pick out what the rollout itself says; the rest is in the log."""
        said = rollout_says(line)
        if not said or said.startswith(("errors: ", self._said)):
            return  # the end is told by the rollout, by its task and by its flow: once is enough
        self._said = said
        self.board.tell(who, said)
        self.board.wait(said)

    def _must(self, name: str, complaint: str) -> None:
        if self._codes.get(name) != 0:
            log = self.programs.logs / f"{name}.log"
            raise DemoError(
                f"{complaint} (exit code {self._codes.get(name)}).\n{_tail(log)}\nAll of it: {log}"
            )

    def _join_warm(self) -> None:
        for thread, program in zip(self._warm, self.script.warm, strict=True):
            thread.join()
            self._must(program.name, f"{program.name} did not succeed")

    # ── watching ──

    def _connect(self) -> Client:
        if self._client is None:
            plane = PlaneRecord.read(self.work / "state")
            if plane is None:
                raise DemoError("The control plane is gone.")
            self._client = Client(plane.host, plane.token)
        return self._client

    def _watch(self, client: Client) -> Watcher:
        def look() -> Look | None:
            self.programs.look_around()
            try:
                return look_at(client.status(SERVICE))
            except AnyserviceError:
                return None

        watcher = Watcher(look, lambda text: self.board.tell("plane", text))
        self.board.look = lambda: watcher.last
        watcher.start()
        return watcher

    def _watch_for(self, seconds: float) -> None:
        """Let some traffic be seen."""
        time.sleep(seconds)

    # ── the end ──

    def end(self) -> None:
        """Stop everything that this run started, in order. May be called again, also after an interrupt."""
        if self._traffic:
            self._traffic.stop()
        if self._watcher:
            self._watcher.stop()
        self.programs.look_around()
        self.programs.end()
        if self._client:
            self._client.close()
            self._client = None
        if not self._down:
            self.programs.allow()
            self.programs.run(plane_down(self.work))
            self._down = True

    def abandon(self) -> None:
        """Stop everything in whatever state it is, and leave nothing behind."""
        if self._traffic:
            self._traffic.stop(patience_s=1.0)
        self.end()
        self.programs.sweep()


_SAID = re.compile(rf"\b{SERVICE}: (.+?)(\s+\[[\w.]+\](\s+\w+=\S+)*)?\s*$")


def rollout_says(line: str) -> str | None:
    """Give the rollout's own words in a line of a log, if there are any."""
    found = _SAID.search(line)
    return found.group(1) if found else None


def look_at(status: ServiceStatus) -> Look:
    """Make a look of a status. Versions go by the part of their name that we gave them."""
    versions = {_short(version.name): version for version in status.versions}
    return Look(
        state=status.state.value,
        weights={name: version.weight for name, version in versions.items()},
        states={name: version.state.value for name, version in versions.items()},
        primary=_short(status.primary_version.name) if status.primary_version else None,
        canary=_short(status.canary_version.name) if status.canary_version else None,
        message=status.error_message,
    )


def _short(name: str) -> str:
    return name.partition("-")[0]


def _about(trained: Trained) -> str:
    if FAILS_PERCENT[trained.version]:
        return "v2's model in a broken build"
    return f"{trained.model}, {trained.shown:,} digits"


def _tail(path: Path, lines: int = 15) -> str:
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
