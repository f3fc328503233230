"""Rollouts from the shell."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from anyservice_core.cli import root
from anyservice_core.client import Client
from anyservice_core.rollout import Journal
from anyservice_core.testing import FakePlane

Run = Callable[..., Result]

PLAN = """
rollout:
  steps: [10, 50]
  bake: 20s
  metrics:
    - {name: errors, provider: router, interval: 5s, compare: {max_rate: 0.05}}
"""


@pytest.fixture
def plan(tmp_path: Path) -> str:
    file = tmp_path / "rollout.yaml"
    file.write_text(PLAN, encoding="utf-8")
    return str(file)


def changed(config: Path) -> None:
    """The same service with another build."""
    config.write_text(config.read_text().replace("A: '1'", "A: '2'"))


def test_a_rollout_prints_a_line_per_event_and_ends_with_zero(
    run: Run, plane: FakePlane, config: Path, plan: str
) -> None:
    """Progress goes to stderr with the time that has passed, the result to stdout."""
    plane.send_traffic(100)
    assert run("rollout", "run", "-f", str(config), "-p", plan).exit_code == 0
    changed(config)
    result = run("rollout", "run", "-f", str(config), "-p", plan)
    assert result.exit_code == 0
    assert "recommender: weight 10 % seen, baking 20s" in result.stderr
    assert "recommender: promoting it to all traffic" in result.stderr
    assert result.stdout.splitlines()[-1] == "recommender: succeeded: it serves all traffic"


def test_json_is_all_that_is_on_stdout(run: Run, plane: FakePlane, config: Path, plan: str) -> None:
    """Fit for jq, also when it fails; then the exit code says so."""
    plane.send_traffic(100)
    first = run("rollout", "run", "-f", str(config), "-p", plan, "-o", "json")
    assert json.loads(first.stdout)["outcome"] == "succeeded"
    changed(config)
    plane.send_traffic(0)
    paused = run("rollout", "run", "-f", str(config), "-p", plan, "-o", "json")
    assert paused.exit_code == 11
    assert json.loads(paused.stdout)["pause"] == "inconclusive"
    *events, last = [json.loads(line) for line in paused.stderr.splitlines()]
    assert "recommender: paused" in last["error"]["message"]
    assert last["error"]["exit_code"] == 11
    assert {"event", "message"} <= events[0].keys()


def test_the_journal_is_a_file_that_is_whole_or_not_there(
    run: Run, plane: FakePlane, config: Path, plan: str, tmp_path: Path
) -> None:
    """It can be read back, and no draft of it is left behind."""
    plane.send_traffic(100)
    run("rollout", "run", "-f", str(config), "-p", plan)
    changed(config)
    journal = tmp_path / "journal.json"
    assert run("rollout", "run", "-f", str(config), "-p", plan, "--journal", str(journal)).exit_code == 0
    assert [step.weight for step in Journal.model_validate_json(journal.read_text()).steps] == [10, 50]
    assert [file.name for file in tmp_path.iterdir() if "journal" in file.name] == ["journal.json"]
    journal.write_text("{half of", encoding="utf-8")
    again = run("rollout", "run", "-f", str(config), "-p", plan, "--journal", str(journal))
    assert again.exit_code == 0
    assert "cannot be read and is left out" in again.stderr


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_leaves_the_service_and_says_how_to_go_on(
    run: Run, plane: FakePlane, config: Path, plan: str, signum: signal.Signals
) -> None:
    """Ctrl-C in the middle of a bake: the weight holds, the exit code is 130, and the next run goes on."""
    plane.send_traffic(100)
    run("rollout", "run", "-f", str(config), "-p", plan)
    changed(config)

    def make(host: str | None, *, on_report: Any, **options: Any) -> Client:
        def interrupted(event: Any) -> None:
            on_report(event)
            if "seen, baking" in str(event):
                os.kill(os.getpid(), signum)

        return plane.client(on_report=interrupted, **options)

    result = CliRunner().invoke(root, ["rollout", "run", "-f", str(config), "-p", plan], obj=make)
    assert result.exit_code == 130
    assert "stays as it is" in result.stderr
    assert "at 10 % of the traffic" in result.stderr
    canary = plane.service("recommender").canary
    assert canary is not None
    assert canary.weight == 10
    assert run("rollout", "run", "-f", str(config), "-p", plan).exit_code == 0


@pytest.mark.parametrize(
    "case",
    [
        (["-f", "nowhere.yaml", "-p", "PLAN"], "nowhere.yaml"),
        (["-f", "CONFIG", "-p", "nowhere.yaml"], "no plan file"),
        (["-f", "CONFIG"], "--plan"),
        (["-f", "CONFIG", "-p", "PLAN", "--poll-interval", "often"], "--poll-interval"),
        (["-f", "CONFIG", "-p", "PLAN", "--poll-interval", "0"], "poll_interval_s"),
        (["-f", "CONFIG", "-p", "PLAN", "--journal", "/no/such/folder/j"], "no folder"),
    ],
)
def test_bad_input_is_a_message_and_exit_code_2(
    run: Run, config: Path, plan: str, case: tuple[list[str], str]
) -> None:
    """No traceback, nothing sent."""
    args, said = case
    given = [{"PLAN": plan, "CONFIG": str(config)}.get(arg, arg) for arg in args]
    result = run("rollout", "run", *given)
    assert result.exit_code == 2
    assert said in result.stderr
    assert "Traceback" not in result.output


def test_a_plan_is_shown_as_a_timeline_with_warnings(run: Run, tmp_path: Path) -> None:
    """What will happen when, and what deserves a second thought; nothing is sent."""
    file = tmp_path / "long.yaml"
    file.write_text("steps: [5, {weight: 25, bake: 5s}]\nbake: 3h\nmetrics: [{name: e, provider: router}]")
    result = run("rollout", "plan", str(file))
    assert result.exit_code == 0
    assert "+0s    5 %  bake 3h, judged by service, e" in result.stdout
    assert "+3h  100 %  promotion" in result.stdout
    assert "warning: weight 25: bakes 5s" in result.stderr
    assert "more than 2h" in result.stderr
    shown = json.loads(run("rollout", "plan", str(file), "-j").stdout)
    assert shown["bake_s"] == 10805
    assert len(shown["warnings"]) == 2
