"""``anyservice rollout``: run a plan, or look at one."""

from __future__ import annotations

import json
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from anyservice_core.cli.errors import INTERRUPTED
from anyservice_core.cli.lazy import Group
from anyservice_core.cli.manners import manners, with_output
from anyservice_core.cli.options import cloud, connected, connection, project
from anyservice_core.cli.progress import say

if TYPE_CHECKING:
    from anyservice_core.rollout.plan import RolloutPlan, Step

__all__ = ["rollout"]


@click.group(cls=Group, no_args_is_help=True)
def rollout() -> None:
    """Bring a new version to users step by step, and take it back by itself if it is worse."""


@rollout.command()
@click.option("-f", "--config-file", required=True, help="YAML config file of the service.")
@click.option("-p", "--plan", "plan_file", required=True, help="YAML file of the plan.")
@click.option(
    "--journal", type=click.Path(dir_okay=False), help="File to remember by; makes a restart lose no time."
)
@click.option("--force", is_flag=True, help="Try a build again that was taken back before.")
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
    poll_interval: str,
    cloud: str | None,
    project: str | None,
    link: dict[str, Any],
) -> None:
    r"""Roll a version out by a plan, and wait until it is over.

    It may be stopped at any moment (Ctrl-C, kill -9): the service stays as it is, and the same command goes
    on from the weight that it finds. Progress goes to stderr.

    \b
      anyservice rollout run -f service.yaml -p rollout.yaml --journal rollout.json
    """
    from anyservice_core.errors import RolloutError

    steps = _plan(plan_file)
    every_s = _duration("--poll-interval", poll_interval)
    told = _Progress()
    with _interruptible(ctx, told), connected(link, tell=told, on_save=_saver(journal)) as client:
        try:
            report = client.rollout(
                config_file,
                steps,
                journal=_load(journal),
                force=force,
                poll_interval_s=every_s,
                cloud=cloud,
                project=project,
            ).to_dict()
        except RolloutError as error:
            _show(error.report)
            raise
    _show(report)


@rollout.command()
@click.argument("file", type=click.Path())
@with_output("text", "json", "yaml")
def plan(file: str) -> None:
    """Check a plan, and show it as a timeline. Nothing is sent."""
    from anyservice_core.rollout.lints import lint

    steps = _plan(file)
    warnings = lint(steps)
    if manners().output != "text":
        _print({"plan": steps.to_dict(), "bake_s": steps.bake_s, "warnings": warnings})
        return
    for line in _timeline(steps):
        click.echo(line)
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)


# ── the plan as a timeline ──────────────────────────────────────────────────


def _plan(file: str) -> RolloutPlan:
    from anyservice_core.rollout.plan import RolloutPlan

    return RolloutPlan.from_yaml(file)


def _timeline(plan: RolloutPlan) -> Iterator[str]:
    from anyservice_core.rollout.duration import format_duration

    at = 0.0
    for step in plan.steps:
        yield _line(at, step.weight, f"bake {format_duration(step.bake)}, judged by {_judges(plan, step)}")
        at += step.bake
    yield _line(at, 100, "promotion; no way back from here")
    yield f"at least {format_duration(plan.bake_s)}; each change of weight may take {format_duration(plan.progress_deadline)}"
    yield (
        f"failed: {plan.on_failure}; inconclusive: {plan.on_inconclusive}; "
        f"not measurable: {plan.on_error}; weight moved by others: {plan.on_drift}"
    )


def _line(at: float, weight: int, what: str) -> str:
    from anyservice_core.rollout.duration import format_duration

    return f"{'+' + format_duration(at):>8}  {weight:>3} %  {what}"


def _judges(plan: RolloutPlan, step: Step) -> str:
    from anyservice_core.rollout.judge import metrics_at

    return ", ".join(metric.name for metric in metrics_at(plan, step.weight))


# ── progress, journal, result ───────────────────────────────────────────────


class _Progress:
    """Prints each event on stderr with the time since the start; remembers where the canary stands."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.where = ""

    def __call__(self, event: Any) -> None:
        from anyservice_core.rollout.duration import format_duration

        weight = getattr(event, "weight", None)
        if weight is not None:
            self.where = f" {event.service} has version {event.version} at {weight} % of the traffic."
        passed = f"{format_duration(float(int(time.monotonic() - self.began))):>7}  "
        say(event if manners().output == "json" else f"{passed}{event}")


@contextmanager
def _interruptible(ctx: click.Context, told: _Progress) -> Iterator[None]:
    """An interruption (SIGTERM too) leaves the service alone, and says how to go on."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        say(
            f"Interrupted. The service stays as it is.{told.where} Run the same command again to go on from there."
        )
        ctx.exit(INTERRUPTED)
    finally:
        signal.signal(signal.SIGTERM, before)


def _duration(option: str, text: str) -> float:
    from anyservice_core.rollout.duration import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise click.UsageError(f"{option}: {error}") from None


def _load(path: str | None) -> dict[str, Any] | None:
    """What the file remembers. It is a hint: one that cannot be read is told, and left out."""
    if path is None or not Path(path).exists():
        return None
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        say(f"The journal {path} cannot be read and is left out: {error}")
        return None
    return content if isinstance(content, dict) else None


def _saver(path: str | None) -> Callable[[str, Any], None] | None:
    if path is None:
        return None
    if not Path(path).absolute().parent.is_dir():
        raise click.UsageError(f"--journal: there is no folder {str(Path(path).parent)!r}.")
    return lambda _, journal: _write(Path(path), journal.model_dump_json(indent=1))


def _write(path: Path, text: str) -> None:
    """Whole or not at all: a reader never sees half of it, nor does a crash leave half behind."""
    handle, draft = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(draft).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(draft).unlink()
        raise


def _print(content: dict[str, Any]) -> None:
    from anyservice_core.cli import render

    render.show(content)


def _show(report: dict[str, Any]) -> None:
    if manners().output != "text":
        _print(report)
        return
    for step in report.get("steps", ()):
        click.echo(f"{step['weight']:>3} %  {step['phase']}")
        for finding in step["findings"]:
            click.echo(f"       {finding['metric']}: {finding['message']}")
    if report:
        click.echo(f"{report['service']}: {report['outcome'].replace('_', ' ')}: {report['reason']}")
