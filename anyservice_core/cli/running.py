"""``anyservice rollout run``."""

from __future__ import annotations

import json
import shlex
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from anyservice_core.cli.errors import INTERRUPTED
from anyservice_core.cli.known import flags_of
from anyservice_core.cli.lazy import Command
from anyservice_core.cli.manners import is_watched, manners, with_output
from anyservice_core.cli.options import cloud, connected, connection, project
from anyservice_core.cli.progress import Lines, say
from anyservice_core.cli.reporting import show_report

if TYPE_CHECKING:
    from anyservice_core.client import Client
    from anyservice_core.ledger import Holder, Ledger, RunLock
    from anyservice_core.models import ServiceConfig

__all__ = ["run"]


@click.command(cls=Command)
@click.option("-f", "--config-file", required=True, help="YAML config file of the service.")
@click.option("-p", "--plan", "plan_file", required=True, help="YAML file of the plan.")
@click.option(
    "--journal",
    type=click.Path(dir_okay=False),
    help="File to remember by, instead of this machine's memory of rollouts.",
)
@click.option("--force", is_flag=True, help="Try a build again that was taken back before.")
@click.option("--wait", is_flag=True, help="If a rollout of this service runs already, wait for its end.")
@click.option("--poll-interval", default="2s", show_default=True, help="How often to look at the service.")
@cloud
@project
@connection
@with_output("text", "json", "yaml")
@click.pass_context
def run(
    ctx: click.Context,
    *,
    config_file: str,
    plan_file: str,
    journal: str | None,
    force: bool,
    wait: bool,
    poll_interval: str,
    cloud: str | None,
    project: str | None,
    link: dict[str, Any],
) -> None:
    r"""Roll a version out by a plan, and wait until it is over.

    On a terminal it shows where the rollout stands: the weights, the step and its clock, what each metric says and
    how much evidence there is so far, what is waited for. Elsewhere it prints a line an event, with -o json an object
    a line, all on stderr; the report goes to stdout.

    It may be stopped at any moment (Ctrl-C, kill -9): the service stays as it is, and the same command goes
    on from the weight that it finds. What was done is remembered on this machine: a build that a rollout has
    condemned is not tried again unless --force, and other commands of `rollout` can steer it while it runs.

    \b
      anyservice rollout run -f service.yaml -p rollout.yaml
      anyservice rollout run -f service.yaml -p rollout.yaml -o json > report.json 2> events.jsonl
    """
    from anyservice_core.errors import RolloutError
    from anyservice_core.rollout import RolloutPlan

    steps = RolloutPlan.from_yaml(plan_file)
    every_s = _duration("--poll-interval", poll_interval)
    flags = flags_of(link, cloud, project)
    ears = _Ears(_screen(flags), _saver(journal))
    hooks: dict[str, Any] = {"on_save": ears.on_save, "on_orders": ears.on_orders}
    try:
        with (
            _interruptible(ctx, ears, flags),
            ears.screen,
            connected(link, tell=ears.on_report, **hooks) as client,
        ):
            config = _named(client, config_file).without_file(plan_file)
            ledger = _ledger(client, config, cloud, project)
            with _remembering(ledger, ears, _command(config_file, plan_file, journal, flags), wait=wait):
                prepared = client.prepare(config, cloud=cloud, project=project)
                report = client.rollout(
                    prepared,
                    steps,
                    journal=_load(journal, ears) if journal else ledger.remembered(prepared),
                    force=force,
                    poll_interval_s=every_s,
                    cloud=cloud,
                    project=project,
                ).to_dict()
    except RolloutError as error:
        show_report(error.report, ears.ledger)
        raise
    show_report(report, ears.ledger)


# ── who is told ─────────────────────────────────────────────────────────────


class _Plain(Lines):
    """Each event a line, with the time since the start, or a JSON object."""

    def __init__(self) -> None:
        super().__init__()
        self._began = time.monotonic()

    def __call__(self, event: Any) -> None:
        from anyservice_core.rollout.duration import format_duration

        passed = f"{format_duration(float(int(time.monotonic() - self._began))):>7}  "
        super().__call__(event if self._as_json else f"{passed}{event}")


def _screen(flags: str) -> Lines:
    """Whoever fits the place: a board on a terminal, lines elsewhere."""
    if not is_watched() or manners().output == "json":
        return _Plain()
    from anyservice_core.cli.board import Board

    return Board(flags=flags)


class _Ears:
    """What the rollout tells and saves, given on to the screen, to this machine's memory and to a file.

    The memory is known only when the client is there, since it is of one control plane.
    """

    def __init__(self, screen: Lines, save: Callable[[Any], None] | None) -> None:
        self.screen, self._save = screen, save
        self.ledger: Ledger | None = None
        self.lock: RunLock | None = None
        self.name = self.where = self._signed = ""
        self._hooks: dict[str, Any] = {}
        self._troubles: set[str] = set()

    def remember_in(self, ledger: Ledger, lock: RunLock) -> None:
        self.ledger, self.lock = ledger, lock
        self._hooks = ledger.hooks(self._trouble)

    def on_report(self, event: Any) -> None:
        self.screen(event)
        if (version := getattr(event, "version", None)) and hasattr(event, "weight"):
            self.name = event.service
            if event.weight is not None:
                self.where = f" {event.service} has version {version} at {event.weight} % of the traffic."
            if self.lock and version != self._signed:
                self._signed = version
                self.lock.sign(version)
        if self._hooks:
            self._hooks["on_report"](event)

    def on_save(self, key: str, value: Any) -> None:
        self.screen.keep(value)
        if self._save:
            self._save(value)
        if self._hooks:
            self._hooks["on_save"](key, value)

    def on_orders(self, key: str) -> Sequence[Any]:
        found: Sequence[Any] = self._hooks["on_orders"](key) if self._hooks else ()
        return found

    def _trouble(self, error: OSError) -> None:
        if str(error) not in self._troubles:
            self._troubles.add(str(error))
            self.screen(f"Not everything is remembered on this machine: {error}.")


@contextmanager
def _interruptible(ctx: click.Context, ears: _Ears, flags: str) -> Iterator[None]:
    """An interruption (SIGTERM too) leaves the service alone, and says how to go on."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        undo = f", or `anyservice rollout abort {ears.name}{flags}` to take it back" if ears.where else ""
        say(
            f"Interrupted. The service stays as it is.{ears.where} Run the same command again to go on from there{undo}."
        )
        ctx.exit(INTERRUPTED)
    finally:
        signal.signal(signal.SIGTERM, before)


# ── where it is remembered ──────────────────────────────────────────────────


def _named(client: Client, config_file: str) -> ServiceConfig:
    """The config, with its name."""
    from anyservice_core.errors import ConfigError
    from anyservice_core.models import ServiceConfig
    from anyservice_core.operations import inside

    config = client.run(inside.completed(ServiceConfig.from_yaml(config_file)))
    if not config.name:
        raise ConfigError("name: missing; a service needs one.")
    return config


def _ledger(client: Client, config: ServiceConfig, cloud: str | None, project: str | None) -> Ledger:
    from anyservice_core.ledger import Ledger, Place

    known = client.settings
    return Ledger(
        Place(
            known.host,
            str(config.name),
            config.cloud or cloud or known.cloud,
            config.project or project or known.project,
        )
    )


@contextmanager
def _remembering(ledger: Ledger, ears: _Ears, command: str, *, wait: bool) -> Iterator[None]:
    """Be the one that runs it on this machine. Where there is no place to remember anything, it runs all the same."""

    def waits(holder: Holder | None) -> None:
        ears.screen(f"Waiting for the end of another rollout: {holder or 'of another process'}.")

    with ExitStack() as stack:
        try:
            lock = stack.enter_context(ledger.held(wait=waits if wait else None))
            ledger.note(command)
            ears.remember_in(ledger, lock)
        except OSError as error:
            ears.screen(
                f"This machine remembers nothing of it, and no other command can steer it: {error}. "
                "ANYSERVICE_STATE_DIR names a folder that can be written."
            )
        yield


def _command(config_file: str, plan_file: str, journal: str | None, flags: str) -> str:
    """What to type to go on: relative paths, in the config too, are seen from where it was typed."""
    words = ["anyservice", "rollout", "run", "-f", config_file, "-p", plan_file]
    words += ["--journal", journal] if journal else []
    return f"cd {shlex.quote(str(Path.cwd()))} && {shlex.join(words)}{flags}"


# ── the file that was asked for ─────────────────────────────────────────────


def _load(path: str, ears: _Ears) -> dict[str, Any] | None:
    """What the file remembers. It is a hint: one that cannot be read is told, and left out."""
    if not Path(path).exists():
        return None
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        ears.screen(f"The journal {path} cannot be read and is left out: {error}")
        return None
    return content if isinstance(content, dict) else None


def _saver(path: str | None) -> Callable[[Any], None] | None:
    if path is None:
        return None
    if not Path(path).absolute().parent.is_dir():
        raise click.UsageError(f"--journal: there is no folder {str(Path(path).parent)!r}.")
    from anyservice_core.ledger.files import write

    return lambda journal: write(Path(path), journal.model_dump_json(indent=1))


# ── input ────────────────────────────────────────────────────────


def _duration(option: str, text: str) -> float:
    from anyservice_core.rollout.duration import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise click.UsageError(f"{option}: {error}") from None
