"""Rollouts from the shell."""

import json
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from anyservice_core.cli import root
from anyservice_core.client import Client
from anyservice_core.ledger import Ledger
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


# ── what is remembered ──


def test_a_condemned_build_is_not_tried_again_by_the_next_schedule(
    run: Run, plane: FakePlane, config: Path, plan: str
) -> None:
    """This machine remembers it without being told where; only force tries again."""
    plane.send_traffic(100)
    run("rollout", "run", "-f", str(config), "-p", plan)
    changed(config)
    started = run("rollout", "run", "-f", str(config), "-p", plan, "-o", "json")
    assert started.exit_code == 0
    bad = json.loads(started.stdout)["version_name"]
    config.write_text(config.read_text().replace("A: '2'", "A: '3'"))

    def spoil(name: str) -> None:
        plane.send_traffic(100, errors={name: 0.5})

    ended = CliRunner().invoke(
        root,
        ["rollout", "run", "-f", str(config), "-p", plan],
        obj=hearing(plane, lambda event: "seen, baking" in str(event) and spoil(event.version)),
    )
    assert ended.exit_code == 10
    plane.sent.clear()  # type: ignore[attr-defined]
    again = run("rollout", "run", "-f", str(config), "-p", plan)
    assert again.exit_code == 10
    assert "this build was taken back before, and is not tried again" in again.stderr
    assert not any(sent.line.endswith("/apply") for sent in plane.sent)  # type: ignore[attr-defined]
    plane.send_traffic(100)
    forced = run("rollout", "run", "-f", str(config), "-p", plan, "--force", "-o", "json")
    assert forced.exit_code == 0
    assert json.loads(forced.stdout)["attempt"] == 1
    assert bad != json.loads(forced.stdout)["version_name"]


def hearing(plane: FakePlane, hear: Callable[[Any], Any]) -> Callable[..., Client]:
    """A client whose events are heard, too."""

    def make(host: str | None, *, on_report: Any, **options: Any) -> Client:
        def both(event: Any) -> None:
            on_report(event)
            hear(event)

        return plane.client(on_report=both, **options)

    return make


def test_a_file_takes_the_place_of_what_this_machine_remembers(
    run: Run, plane: FakePlane, config: Path, plan: str, tmp_path: Path
) -> None:
    """What to go on from is read from it alone; the rest is kept as ever."""
    plane.send_traffic(100)
    run("rollout", "run", "-f", str(config), "-p", plan)
    changed(config)
    fail = {"errors": 0.5}

    def hear(event: Any) -> None:
        if "seen, baking" in str(event):
            plane.send_traffic(100, errors={event.version: fail["errors"]})

    args = ["rollout", "run", "-f", str(config), "-p", plan]
    assert CliRunner().invoke(root, args, obj=hearing(plane, hear)).exit_code == 10
    fail["errors"] = 0.0
    fresh = CliRunner().invoke(root, [*args, "--journal", str(tmp_path / "j.json")], obj=hearing(plane, hear))
    assert fresh.exit_code == 0
    assert "--journal" in Ledger.all()[0].place.command


def test_a_second_run_is_refused_or_waits(run: Run, plane: FakePlane, config: Path, plan: str) -> None:
    """One rollout of a service at a time on this machine: exit code 7, or its turn."""
    plane.send_traffic(100)
    run("rollout", "run", "-f", str(config), "-p", plan)
    (ledger,) = Ledger.all()
    with ledger.held() as lock:
        lock.sign("r-1")
        refused = run("rollout", "run", "-f", str(config), "-p", plan)
        assert refused.exit_code == 7
        assert f"process {os.getpid()} on " in refused.stderr
        assert "r-1" in refused.stderr
        assert "--wait" in refused.stderr
        timer = threading.Timer(0.5, lock.release)
        timer.start()
        waited = run("rollout", "run", "-f", str(config), "-p", plan, "--wait")
        timer.join()
    assert waited.exit_code == 0
    assert "Waiting for the end of another rollout: process " in waited.stderr


def test_it_runs_where_nothing_can_be_remembered(
    run: Run, plane: FakePlane, config: Path, plan: str, state: Path
) -> None:
    """A read-only container; it is told."""
    state.write_text("a file in the way of the folder")
    plane.send_traffic(100)
    result = run("rollout", "run", "-f", str(config), "-p", plan)
    assert result.exit_code == 0
    assert "This machine remembers nothing of it" in result.stderr
    assert "ANYSERVICE_STATE_DIR" in result.stderr


def test_a_disk_that_fills_up_is_told_once(
    run: Run, plane: FakePlane, config: Path, plan: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rollout goes on."""
    plane.send_traffic(100)
    run("rollout", "run", "-f", str(config), "-p", plan)
    changed(config)

    def full(_ledger: Ledger, _journal: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Ledger, "save", full)
    result = run("rollout", "run", "-f", str(config), "-p", plan)
    assert result.exit_code == 0
    assert result.stderr.count("Not everything is remembered on this machine: [Errno 28] No space left") == 1


def test_events_are_lines_of_json_with_their_numbers(
    run: Run, plane: FakePlane, config: Path, plan: str
) -> None:
    """On stderr, as all talk; the report alone is on stdout."""
    plane.send_traffic(100)
    run("rollout", "run", "-f", str(config), "-p", plan)
    changed(config)
    result = run("rollout", "run", "-f", str(config), "-p", plan, "-j")
    told = [json.loads(line) for line in result.stderr.splitlines()]
    measured = [one for one in told if one.get("kind") == "measured"]
    assert measured[0]["data"]["numbers"]["canary_requests"] > 0
    assert {"event", "kind", "service", "version", "weight", "at", "message", "data"} == measured[0].keys()
    assert json.loads(result.stdout)["outcome"] == "succeeded"


def test_a_config_without_a_name_is_refused(run: Run, config: Path, plan: str) -> None:
    """Before anything is remembered or sent."""
    config.write_text(config.read_text().replace("name: recommender\n", ""))
    result = run("rollout", "run", "-f", str(config), "-p", plan)
    assert result.exit_code == 2
    assert "name: missing" in result.stderr
    assert Ledger.all() == []


# ── plans ──


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


FULL = """
bake: 15m
steps: [0, 5, {weight: 50, bake: 30m, approval: {timeout: 8h}}]
metrics:
  - {name: errors, provider: router}
promotion: true
windows:
  - {kind: allow, schedule: "0 9 1 1 *", duration: 1h, actions: [start, promote]}
  - {kind: deny, schedule: "* * * * *", duration: 1h, actions: [advance], reason: freeze}
"""


@pytest.fixture
def full(tmp_path: Path) -> str:
    file = tmp_path / "full.yaml"
    file.write_text(FULL)
    return str(file)


def test_people_and_the_time_of_day_are_on_the_timeline(run: Run, full: str) -> None:
    """Where each is asked, what comes of no answer, when a window opens next, and how long all of it may take."""
    result = run("rollout", "plan", full)
    lines = result.stdout.splitlines()
    assert "may start from " in lines[0]
    assert "UTC; now outside of 0 9 1 1 * UTC" in lines[0]
    assert lines[4].strip() == "a person approves the move on within 8h, else it is taken back"
    assert lines[5].strip() == "may not advance at any time in sight: denied: freeze"
    assert lines[6].strip() == "a person approves the promotion, however long it takes"
    assert lines[8].strip() == "+1h  100 %  promotion; no way back from here"
    assert lines[9].startswith("at least 1h, without end while nobody approves")
    assert "warning: an approval without a timeout may take for ever" in result.stderr
    assert "warning: windows: it may not advance at any time that is in sight" in result.stderr
    assert "warning: windows: it may start in only 0.0" in result.stderr or "before" in result.stderr


def test_a_plan_with_time_outs_has_an_end(run: Run, full: str, tmp_path: Path) -> None:
    """With all of them used up, it may be later than the platform allows."""
    file = tmp_path / "bounded.yaml"
    file.write_text(
        FULL.replace("promotion: true", "promotion: {timeout: 1h, on_timeout: pause}").partition("windows")[0]
    )
    result = run("rollout", "plan", str(file))
    assert "at least 1h, 10h if every approval takes all its time" in result.stdout
    assert "within 1h, else it pauses" in result.stdout
    assert (
        "may take 10h in all; the managed platform may roll back a rollout that takes more than 2h"
        in result.stderr
    )
    assert "roll back a rollout" not in run("rollout", "plan", str(file), "--limit", "12h").stderr
    shown = json.loads(run("rollout", "plan", str(file), "-j").stdout)
    assert (shown["bake_s"], shown["most_s"]) == (3_600, 36_000)
    assert shown["windows"]["start"] == {"open": True, "reason": None, "opens_at": None}


def test_expected_traffic_tells_how_soon_a_comparison_can_tell(run: Run, full: str) -> None:
    """How long a canary that is fine takes to pass, and one that is worse to be found, by step."""
    text = run("rollout", "plan", full, "--traffic", "1200/m").stdout
    assert "errors, 900 requests: passes without errors after 6m, at 0.5 % not in time" in text
    assert "finds a canary 4 times as bad not in time, 10 times as bad after " in text
    shown = json.loads(run("rollout", "plan", full, "--traffic", "20/s", "--error-rate", "0", "-j").stdout)
    assert [(one["weight"], one["canary_requests"], one["found_s"]) for one in shown["forecast"]] == [
        (5, 900, {}),
        (50, 18_000, {}),
    ]
    quiet = run("rollout", "plan", full, "--traffic", "60/h")
    assert (
        "'errors' cannot decide within its bake of 15m, in which the canary gets 1 requests" in quiet.stderr
    )


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--traffic", "many", "write 1200/m, 20/s or 500/h"),
        ("--traffic", "0/s", "is not a rate"),
        ("--limit", "soon", "is not a duration"),
        ("--error-rate", "100%", "from 0 to below 100"),
        ("--error-rate", "few", "from 0 to below 100"),
    ],
)
def test_what_is_no_rate_is_an_error_with_the_way_out(
    run: Run, full: str, option: str, value: str, said: str
) -> None:
    """Exit code 2."""
    result = run("rollout", "plan", full, option, value)
    assert result.exit_code == 2
    assert said in result.stderr
