"""Steering a rollout from beside it: orders, status, list."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from anyservice_core.cli import root
from anyservice_core.client import Client
from anyservice_core.ledger import Ledger
from anyservice_core.rollout import Outcome
from anyservice_core.testing import FakePlane

PLAN = """
rollout:
  bake: 20s
  steps: [10, {weight: 25, approval: {timeout: 10m}}, 50]
  promotion: {timeout: 1h}
  metrics:
    - {name: errors, provider: router, interval: 5s, compare: {max_rate: 0.05}}
"""
Run = Callable[..., Result]
Meanwhile = dict[str, Callable[[], Any]]


@pytest.fixture
def plan(tmp_path: Path) -> str:
    file = tmp_path / "rollout.yaml"
    file.write_text(PLAN, encoding="utf-8")
    return str(file)


@pytest.fixture
def roll(plane: FakePlane, config: Path, plan: str, running: None) -> Callable[..., Result]:
    """Run a rollout of a new build; after these words were told and all was saved do that, once.

    An exception ends the process.
    """
    plane.send_traffic(100)
    config.write_text(config.read_text().replace("A: '1'", "A: '2'"))

    def start(meanwhile: Meanwhile, *args: str) -> Result:
        due: list[Callable[[], Any]] = []

        def make(host: str | None, *, on_report: Any, on_save: Any, **options: Any) -> Client:
            def hear(event: Any) -> None:
                on_report(event)
                due.extend(meanwhile.pop(words) for words in [*meanwhile] if words in str(event))

            def keep(key: str, value: Any) -> None:
                on_save(key, value)
                while due:
                    due.pop(0)()

            return plane.client(on_report=hear, on_save=keep, **options)

        command = ["rollout", "run", "-f", str(config), "-p", plan, *args]
        return CliRunner().invoke(root, command, obj=make)

    return start


def killed() -> None:
    raise KeyboardInterrupt


def good(result: Result) -> Result:
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture
def stopped(roll: Callable[..., Result]) -> Result:
    """A rollout whose process was ended while it waited for an approval at 25 %."""
    ended = roll({"waits for an approval": killed})
    assert ended.exit_code == 130
    return ended


def journal() -> Any:
    return Ledger.all()[0].journal()


def status(run: Run, *args: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(good(run("rollout", "status", *args, "-o", "json")).stdout)
    return found


# ── orders to one that runs ──


def test_a_rollout_is_approved_from_beside_it(run: Run, roll: Callable[..., Result]) -> None:
    """Each gate in its turn; who and why are told, and kept in the report."""
    told: list[Result] = []

    def approve() -> None:
        told.append(run("rollout", "approve", "recommender", "--by", "ann", "--reason", "looks fine"))

    result = good(roll({"step at 25 % waits": approve, "the promotion waits": approve}))
    assert "approve by ann: looks fine" in result.stderr
    assert [one.exit_code for one in told] == [0, 0]
    assert "recommender has its approval of the step at 25 %. Process " in told[0].stderr
    assert "takes it in at its next look" in told[0].stderr
    assert "the promotion" in told[1].stderr
    orders = Ledger.all()[0].report().orders  # type: ignore[union-attr]
    assert [(order.gate, order.by, order.reason) for order in orders] == [
        ("25", "ann", "looks fine"),
        ("promotion", "ann", "looks fine"),
    ]


def test_a_gate_may_be_approved_before_it_is_reached(run: Run, roll: Callable[..., Result]) -> None:
    """Whoever goes home leaves a yes behind, by the gate's name."""

    def approve() -> None:
        for gate in ("25", "promotion"):
            good(run("rollout", "approve", "--gate", gate))

    result = good(roll({"weight 10 % seen": approve}))
    assert "waits for an approval" not in result.stderr


def test_it_pauses_and_resumes(run: Run, roll: Callable[..., Result]) -> None:
    """It holds its weight meanwhile, and shows in the status who holds it."""
    seen: list[dict[str, Any]] = []

    def pause() -> None:
        good(run("rollout", "pause", "recommender", "--reason", "the database moves"))

    def look() -> None:
        seen.append(status(run))
        good(run("rollout", "resume", "recommender"))

    def go_on() -> None:
        good(run("rollout", "promote", "recommender", "--full", "--reason", "enough"))

    good(roll({"weight 10 % seen": pause, "paused by": look, "weight 25 % seen": go_on}))
    assert seen[0]["gate"]["name"] == "pause"
    assert "the database moves" in seen[0]["doing"]
    assert seen[0]["state"] == "running"


def test_it_is_aborted_by_whoever_runs_it(run: Run, plane: FakePlane, roll: Callable[..., Result]) -> None:
    """Exit code 10 there, 0 here."""

    def abort() -> None:
        result = good(run("rollout", "abort", "recommender", "--by", "ann", "--reason", "wrong model"))
        assert "is to be taken back. Process" in result.stderr

    result = roll({"weight 10 % seen": abort})
    assert result.exit_code == 10
    assert "rolled back: aborted by ann: wrong model" in result.stdout
    assert plane.service("recommender").canary is None


def test_orders_are_printed_for_programs(run: Run, roll: Callable[..., Result]) -> None:
    """The order, and the process that will take it in."""
    printed: list[Any] = []

    def order() -> None:
        printed.append(run("rollout", "promote", "--reason", "because", "-o", "json"))
        good(run("rollout", "promote", "--full", "--reason", "because"))

    good(roll({"weight 10 % seen": order}))
    answer = json.loads(printed[0].stdout)
    assert answer["order"]["kind"] == "promote"
    assert answer["process"]["pid"]
    assert json.loads(printed[0].stderr)["event"] == "Message"


# ── orders to one that nobody runs ──


def test_an_approval_waits_for_the_next_run(run: Run, stopped: Result, roll: Callable[..., Result]) -> None:
    """It says so, with the command, and is taken in then."""
    result = good(run("rollout", "approve"))
    assert "No process runs it now, so it takes effect when it is run again: cd " in result.stderr
    assert "anyservice rollout run -f " in result.stderr
    assert status(run)["orders"][0]["kind"] == "approve"
    later = roll({"weight 50 % seen": killed})
    assert "approve by" in later.stderr
    assert journal().approval("25") is not None


def test_a_run_that_goes_on_says_what_it_waits_for(
    run: Run, stopped: Result, roll: Callable[..., Result]
) -> None:
    """Whoever starts it again sees why nothing happens."""
    again = roll({"waits for an approval": killed})
    assert again.exit_code == 130
    assert again.stderr.count("waits for an approval") == 1


def test_an_approval_that_comes_too_late_is_refused(run: Run, plane: FakePlane, stopped: Result) -> None:
    """It would change nothing, and nobody should go home believing that it did."""
    plane.advance(601)
    result = run("rollout", "approve", "recommender")
    assert result.exit_code == 7
    assert "Too late" in result.stderr
    assert "rollback" in result.stderr
    good(run("rollout", "approve", "recommender", "--gate", "promotion"))  # is not asked for yet


def test_without_a_runner_abort_takes_the_canary_back_itself(
    run: Run, plane: FakePlane, stopped: Result
) -> None:
    """It waits for the end, and leaves a report."""
    canary = plane.service("recommender").canary
    assert canary is not None
    result = good(run("rollout", "abort", "recommender", "--by", "ann", "--reason", "wrong model"))
    assert "recommender: rolled back: aborted by ann: wrong model" in result.stdout
    assert plane.service("recommender").canary is None
    assert journal().outcome is Outcome.ROLLED_BACK
    assert not journal().known_bad
    again = run("rollout", "abort", "recommender")
    assert again.exit_code == 7
    assert "is over: rolled back: aborted by ann" in again.stderr


def test_abort_touches_no_other_canary(run: Run, plane: FakePlane, stopped: Result, config: Path) -> None:
    """Someone took ours back and brought their own."""
    good(run("rollback", "recommender"))
    good(run("wait", "recommender"))
    good(run("deploy", "-f", str(config), "--version-name", "theirs", "--canary-percent", "20"))
    plane.advance(30)
    result = run("rollout", "abort", "recommender")
    assert result.exit_code == 10
    assert "superseded" in result.stdout
    canary = plane.service("recommender").canary
    assert canary is not None
    assert (canary.name, canary.weight) == ("theirs", 20)


def test_abort_of_one_that_has_begun_nothing_ends_it(
    run: Run, roll: Callable[..., Result], tmp_path: Path
) -> None:
    """It waited for its time of day."""
    window = "  windows: [{kind: allow, schedule: '0 9 1 1 *', duration: 1h, actions: [start]}]\n"
    (tmp_path / "rollout.yaml").write_text(PLAN + window)
    assert roll({"the deploy waits for its time": killed}).exit_code == 130
    result = good(run("rollout", "abort", "recommender"))
    assert "nothing had been sent" in result.stdout
    assert not Ledger.all()[0].open


def test_what_is_promoted_already_cannot_be_aborted(run: Run, plane: FakePlane, stopped: Result) -> None:
    """It says so, and exits with 10."""
    good(run("shift", "recommender", "--canary-percent", "100"))
    good(run("wait", "recommender"))
    result = run("rollout", "abort", "recommender")
    assert result.exit_code == 10
    assert "too late to roll back" in result.stderr


# ── orders that make no sense ──


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("approve", "nobody"), 6, "No rollout of 'nobody' is known on this machine."),
        (("approve", "--gate", "10"), 2, "'10' is none of its gates: there are 25, promotion"),
        (("promote",), 2, "--reason"),
        (("resume",), 7, "is not paused"),
        (("pause", "a", "-n", "b"), 2, "only once, not as a, b"),
    ],
)
def test_what_cannot_be_meant_is_an_error(
    run: Run, stopped: Result, args: tuple[str, ...], code: int, said: str
) -> None:
    """With the exit code for its kind, and nothing is left behind."""
    result = run("rollout", *args)
    assert result.exit_code == code
    assert said in result.stderr
    assert Ledger.all()[0].orders() == []


def test_a_rollout_that_asks_nobody_cannot_be_approved(
    run: Run, roll: Callable[..., Result], tmp_path: Path
) -> None:
    """Promote is what is meant; and where a later step asks, it is named."""
    file = tmp_path / "rollout.yaml"
    file.write_text("{steps: [10, {weight: 50, approval: true}], bake: 1m}")
    assert roll({"weight 10 % seen": killed}).exit_code == 130
    early = run("rollout", "approve")
    assert early.exit_code == 2
    assert "No gate of the present step waits for an approval: there are 50." in early.stderr
    file.write_text("{steps: [10, 50], bake: 1m}")
    assert roll({"found r-": killed}).exit_code == 130
    none = run("rollout", "approve")
    assert none.exit_code == 7
    assert "asks for no approval" in none.stderr


def test_one_that_paused_by_itself_is_run_again(
    run: Run, plane: FakePlane, roll: Callable[..., Result]
) -> None:
    """Its process has ended; resume says how to go on."""
    plane.send_traffic(0)
    assert roll({}).exit_code == 11
    result = run("rollout", "resume", "recommender")
    assert result.exit_code == 7
    assert "has paused by itself" in result.stderr
    assert "Run it again: cd " in result.stderr
    assert status(run)["state"] == "paused"


def test_without_its_plan_a_gate_must_be_named(run: Run, stopped: Result) -> None:
    """What was told is lost; what is remembered of the gate is enough, or its name."""
    (Ledger.all()[0].folder / "events.jsonl").unlink()
    good(run("rollout", "approve"))
    assert Ledger.all()[0].orders()[0].gate == "25"
    ledger = Ledger.all()[0]
    ledger.save(journal().replace(gate=None))
    assert run("rollout", "approve").exit_code == 2
    good(run("rollout", "approve", "--gate", "promotion"))
    good(run("rollout", "abort"))


# ── status ──


def test_the_status_is_put_together_from_memory_and_server(run: Run, stopped: Result) -> None:
    """All of it for programs, what matters for people."""
    found = status(run, "recommender")
    assert found["state"] == "stopped"
    assert found["process"] is None
    assert (found["weight"], found["canary"]["weight"], found["service_state"]) == (25, 25, "ROLLING_OUT")
    assert found["step"] == {"weight": 25, "number": 2, "of": 3, "bake_s": 20.0, "baked_s": 20.0}
    assert found["gate"]["name"] == "25"
    assert {finding["metric"]: finding["phase"] for finding in found["findings"]}["errors"] == "successful"
    assert found["commands"]["undo"] == "anyservice rollout abort recommender"
    assert found["commands"]["resume"].startswith("cd ")
    text = good(run("rollout", "status")).stdout
    for words in (
        "steps    10 % ✓ → [25 %] → 50 % → all",
        "run by   no process",
        "waits for an approval",
        "resume   cd ",
    ):
        assert words in text
    assert good(run("rollout", "status", "-o", "yaml")).stdout.startswith("service: recommender")


def test_the_status_of_one_that_is_over_says_how_it_ended(run: Run, roll: Callable[..., Result]) -> None:
    """When, why, and where to read more; nothing is left to be done."""
    roll({"weight 10 % seen": lambda: run("rollout", "abort", "--reason", "no")})
    text = good(run("rollout", "status")).stdout
    assert "rolled back: aborted by" in text
    assert "report   " in text
    assert "steps" not in text
    assert "abort recommender" not in text
    found = status(run)
    assert (found["state"], found["outcome"], found["commands"]) == ("rolled_back", "rolled_back", {})
    assert Path(found["report"]).exists()


def test_the_status_tells_of_a_canary_that_is_not_ours(run: Run, stopped: Result, config: Path) -> None:
    """It is in the way."""
    good(run("rollback", "recommender"))
    good(run("wait", "recommender"))
    good(run("deploy", "-f", str(config), "--version-name", "theirs", "--canary-percent", "20"))
    assert "with another canary: theirs at " in good(run("rollout", "status")).stdout
    assert status(run)["weight"] is None


def test_the_status_is_shown_when_the_server_does_not_answer(
    run: Run, plane: FakePlane, stopped: Result
) -> None:
    """What this machine remembers is worth more than an error."""
    for _ in range(9):
        plane.lose_request("GET /api/v2/services-v2")
    result = good(run("rollout", "status"))
    assert "does not tell how the service is now" in result.stderr
    assert "[25 %]" in result.stdout


def test_a_rollout_that_has_remembered_nothing_yet_is_not_found(run: Run, stopped: Result) -> None:
    """Its process has only begun."""
    (Ledger.all()[0].folder / "journal.json").unlink()
    result = run("rollout", "status")
    assert result.exit_code == 6
    assert "has remembered nothing yet" in result.stderr


def test_without_a_name_it_is_the_one_that_is_open(run: Run, stopped: Result, plane: FakePlane) -> None:
    """Several need a name; and one name in two projects, the project."""
    from anyservice_core.ledger import Place

    known, memory = Ledger.all()[0], journal()
    second = Ledger(Place(known.place.host, "other"))
    second.save(memory.replace(outcome=Outcome.SUCCEEDED))
    assert status(run)["service"] == "recommender"
    second.save(memory)
    result = run("rollout", "status")
    assert result.exit_code == 2
    assert "say the service's name, of other, recommender" in result.stderr
    Ledger(Place(known.place.host, "recommender", project="p")).save(memory)
    result = run("rollout", "pause", "recommender")
    assert result.exit_code == 2
    assert "--cloud (none) --project p" in result.stderr
    assert run("rollout", "pause", "recommender", "--project", "p").exit_code == 0


def test_where_nothing_is_known_the_way_out_is_told(run: Run) -> None:
    """A canary may have been brought from elsewhere."""
    result = run("rollout", "status")
    assert result.exit_code == 6
    assert "rollout list" in result.stderr


# ── list ──


def listed(run: Run, *args: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(good(run("rollout", "list", "-o", "json", *args)).stdout)
    return found


def deployed(run: Run, config: Path, name: str, version: str) -> None:
    for version_name, percent in (("v1", ()), (version, ("--canary-percent", "20"))):
        good(run("deploy", "-f", str(config), "--name", name, "--version-name", version_name, *percent))
        good(run("wait", name, "--version", version_name, *(("--canary-weight", "20") if percent else ())))


def test_every_canary_is_listed_with_whose_it_is(
    run: Run, plane: FakePlane, stopped: Result, config: Path
) -> None:
    """This machine's, a rollout's from elsewhere, one by hand; how long, and what would resume or undo it."""
    deployed(run, config, "hand", "v2")
    deployed(run, config, "elsewhere", "r-0123456789")
    plane.advance(3_600)
    found = {one["service"]: one for one in listed(run)}
    assert {name: one["whose"] for name, one in found.items()} == {
        "recommender": "this machine's",
        "elsewhere": "a rollout's",
        "hand": "by hand",
    }
    assert 3_600 <= found["hand"]["age_s"] < 3_700
    assert found["hand"]["commands"] == {
        "resume": "anyservice shift hand --canary-percent 100",
        "undo": "anyservice rollback hand",
    }
    assert found["elsewhere"]["commands"] == {"undo": "anyservice rollback elsewhere"}
    assert found["recommender"]["commands"]["undo"] == "anyservice rollout abort recommender"
    text = good(run("rollout", "list")).stdout
    assert "hand  v2  at 20 % for 1h" in text
    assert "deployed by hand: no rollout watches it" in text
    assert "no process runs its rollout" in text
    assert "run it again with the same config" in text
    table = good(run("rollout", "list", "-o", "table")).stdout.splitlines()
    assert table[0].split() == ["NAME", "VERSION", "WEIGHT", "AGE", "WHOSE", "RUN", "BY"]
    assert len(table) == 4


def test_one_that_runs_is_listed_with_its_process(run: Run, roll: Callable[..., Result]) -> None:
    """There is nothing to resume."""
    seen: list[Any] = []

    def look() -> None:
        seen.extend(listed(run))
        seen.append(good(run("rollout", "list")).stdout)
        good(run("rollout", "abort"))

    roll({"weight 10 % seen": look})
    assert seen[0]["process"]["pid"]
    assert [*seen[0]["commands"]] == ["undo"]
    assert "run by process " in seen[1]


def test_an_open_rollout_without_a_canary_is_listed_too(run: Run, stopped: Result) -> None:
    """Someone took it back, and its end was never told."""
    good(run("rollback", "recommender"))
    good(run("wait", "recommender"))
    (found,) = listed(run)
    assert (found["weight"], found["age_s"]) == (None, None)
    assert "has no canary now" in good(run("rollout", "list")).stdout
    assert run("rollout", "abort").exit_code == 0
    nothing = good(run("rollout", "list"))
    assert nothing.stdout == ""
    assert "No canary" in nothing.stderr


def test_a_canary_whose_rollout_is_over_is_undone_by_hand(run: Run, stopped: Result) -> None:
    """The rollout has kept its hands off since."""
    Ledger.all()[0].save(journal().replace(outcome=Outcome.SUPERSEDED, reason="why"))
    (found,) = listed(run)
    assert found["commands"] == {"undo": "anyservice rollback recommender"}
    assert found["reason"] == "superseded: why"
    assert "; superseded: why" in good(run("rollout", "list")).stdout


def test_flags_go_on_into_the_commands_that_are_shown(run: Run, stopped: Result) -> None:
    """They are to be typed as they are."""
    (found,) = listed(run, "--host", "http://plane.test")
    assert found["commands"]["undo"] == "anyservice rollout abort recommender --host http://plane.test"
