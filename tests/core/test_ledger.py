"""What rollouts on this machine are remembered by."""

import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time

import pytest

from anyservice_core import ConflictError, Journal, RolloutPlan, ServiceConfig
from anyservice_core.ledger import Holder, Ledger, Place
from anyservice_core.ledger import story as story_room
from anyservice_core.rollout import Event, Kind, Outcome, RolloutReport
from anyservice_core.rollout.identity import rollout_key
from anyservice_core.rollout.orders import Order, OrderKind

HERE = Place("http://plane.test", "recommender")
PLAN = RolloutPlan.parse({"steps": [5, 25], "bake": "1m"})
CONFIG = ServiceConfig(name="recommender", applications=[{"import_path": "main:app"}])


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    """A state folder of its own."""
    monkeypatch.setenv("ANYSERVICE_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def ledger():
    return Ledger(HERE)


def event(kind, version="r-1", at=1.0, **data):
    return Event(kind, "recommender", version, 5, f"{kind.value}!", at, data)


def started(version="r-1", at=1.0):
    return event(Kind.STARTED, version, at, plan=PLAN.to_dict())


def finished(outcome=Outcome.SUCCEEDED, version="r-1", at=9.0):
    report = RolloutReport(
        outcome=outcome, service="recommender", version_name=version, reason="why", started_at=1, ended_at=at
    )
    return event(Kind.FINISHED, version, at, outcome=outcome.value, report=report.to_dict())


def tell(ledger, *events):
    for one in events:
        ledger.tell(one)


def journal(**changes):
    return Journal.fresh("key", "r-key", 0, 10.0).replace(**changes)


# ── the folder ──


def test_a_folder_is_for_one_service_of_one_control_plane():
    """Host, cloud, project and name all count, and a name of any kind makes a folder's name."""
    places = [
        HERE,
        Place("http://other.test", "recommender"),
        Place("http://plane.test", "recommender", cloud="a"),
        Place("http://plane.test", "recommender", project="a"),
        Place("http://plane.test", "../../etc/passwd"),
    ]
    names = [place.key for place in places]
    assert len({*names}) == len(names)
    assert names[0].startswith("recommender-")
    assert names[-1].startswith("etc-passwd-")


def test_nothing_is_written_before_there_is_something_to_keep(ledger, state):
    """To look at a service leaves no trace."""
    assert ledger.journal() is None
    assert ledger.plan() is None
    assert ledger.events() == ledger.orders() == []
    assert (ledger.running(), ledger.report(), ledger.page, ledger.open) == (None, None, None, False)
    assert not state.exists()


def test_all_of_it_is_for_its_owner_only(ledger):
    """Plans, reasons and names are nobody else's business."""
    ledger.save(journal())
    tell(ledger, started(), finished())
    ledger.order(Order(kind="pause", at=1))
    with ledger.held():
        pass
    paths = [ledger.folder.parent, ledger.folder, *ledger.folder.rglob("*")]
    modes = {(path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in paths}
    assert modes == {(True, 0o700), (False, 0o600)}


def test_ledgers_are_found_by_what_is_known_of_them():
    """``None`` asks for nothing; a folder of something else is passed over."""
    for place in (HERE, Place("http://plane.test", "b", project="p"), Place("http://other.test", "b")):
        Ledger(place).note("anyservice rollout run")
    stray = Ledger(HERE).folder.parent / "stray"
    stray.mkdir()
    (stray / "service.json").write_text('{"version": 2}')
    assert [one.place.service for one in Ledger.all()] == ["b", "b", "recommender"]
    assert [one.place.project for one in Ledger.all(service="b", host="http://plane.test")] == ["p"]
    assert Ledger.all(service="b", project="q") == []
    assert Ledger.all(service="recommender", cloud=None)[0].place.command == "anyservice rollout run"


# ── journals ──


def test_a_journal_comes_back_and_damage_is_as_good_as_loss(ledger):
    """It is a hint."""
    ledger.save(journal(weight=5))
    assert ledger.journal() == journal(weight=5)
    (ledger.folder / "journal.json").write_text("{half")
    assert ledger.journal() is None
    (ledger.folder / "journal.json").write_text('{"version_name": 5}')
    assert ledger.journal() is None


def of(config, attempt=0, **changes):
    key = rollout_key(config, attempt)
    return Journal.fresh(key, f"r-{key}", attempt, 10.0).replace(**changes)


def test_a_condemned_build_is_known_after_others_were_rolled_out(ledger):
    """Tomorrow's schedule may bring back what was taken back last week."""
    other = CONFIG.options(env_vars={"A": "1"})
    condemned = of(CONFIG, outcome=Outcome.ROLLED_BACK, known_bad=True, reason="errors")
    ledger.save(condemned)
    ledger.save(of(other, outcome=Outcome.SUCCEEDED))
    assert ledger.remembered(CONFIG) == condemned
    assert ledger.remembered(other).outcome is Outcome.SUCCEEDED
    assert ledger.remembered(CONFIG.options(name="another")) is None
    ledger.save(condemned)  # it was not tried again
    assert ledger.journal().outcome is Outcome.SUCCEEDED


def test_a_forced_attempt_takes_the_place_of_the_one_that_was_condemned(ledger):
    """A person said that it is fine now, and it was."""
    ledger.save(of(CONFIG, outcome=Outcome.ROLLED_BACK, known_bad=True))
    ledger.save(of(CONFIG, 1, outcome=Outcome.SUCCEEDED))
    ledger.save(of(CONFIG.options(env_vars={"A": "1"})))
    assert ledger.remembered(CONFIG).attempt == 1


def test_a_run_without_change_leaves_the_memory_of_what_was_done_before(ledger):
    """The nightly schedule mostly finds nothing to do."""
    ledger.save(journal(outcome=Outcome.SUCCEEDED, weight=25))
    ledger.save(of(CONFIG, outcome=Outcome.NO_CHANGE))
    assert ledger.journal().weight == 25
    ledger.save(journal(outcome=Outcome.NO_CHANGE))
    assert ledger.journal().outcome is Outcome.SUCCEEDED
    ledger.save(journal(weight=25))  # a process that was lost ...
    ledger.save(journal(outcome=Outcome.NO_CHANGE))  # ... and someone else promoted it
    assert not ledger.open


@pytest.mark.parametrize(
    ("outcome", "open"),
    [(None, True), (Outcome.PAUSED, True), (Outcome.SUCCEEDED, False), (Outcome.ROLLED_BACK, False)],
)
def test_a_rollout_is_open_until_it_has_ended(ledger, outcome, open):
    """One that paused waits for people."""
    ledger.save(journal(outcome=outcome))
    assert ledger.open is open


# ── events and reports ──


def test_events_are_those_of_one_rollout(ledger):
    """Another version begins anew; a restart, and going on after a pause, add to what was told."""
    tell(ledger, started(at=1), event(Kind.BAKING), started(at=2), finished(Outcome.PAUSED))
    tell(ledger, started(at=3), event(Kind.BAKING))
    assert [one.at for one in ledger.events() if one.kind is Kind.STARTED] == [1, 2, 3]
    assert ledger.plan() == PLAN
    tell(ledger, started("r-2"), event(Kind.BAKING, "r-2"))
    assert {one.version for one in ledger.events()} == {"r-2"}
    tell(ledger, finished(version="r-2"), started("r-2", at=20), event(Kind.BAKING, "r-2"))
    assert [one.at for one in ledger.events()] == [20, 1]


def test_a_run_that_had_nothing_to_do_leaves_events_and_report(ledger):
    """No change, or a build that is not tried again."""
    tell(ledger, started(), event(Kind.BAKING), finished(Outcome.ROLLED_BACK))
    before = ledger.events()
    tell(ledger, started("r-2"), finished(Outcome.NO_CHANGE, "r-2"))
    tell(ledger, finished(Outcome.ROLLED_BACK, "r-1", at=99))
    assert ledger.events() == before
    assert ledger.report().ended_at == 9.0


def test_half_a_line_is_passed_over(ledger):
    """A crash may cut the last one short."""
    tell(ledger, started(), event(Kind.BAKING))
    with (ledger.folder / "events.jsonl").open("a") as file:
        file.write('{"kind": "measu\n{"kind": "unheard of"}\n17\n')
    assert [one.kind for one in ledger.events()] == [Kind.STARTED, Kind.BAKING]


def test_a_long_bake_keeps_its_shape_and_stays_small(ledger, monkeypatch):
    """Every second measurement goes, again and again; all else stays."""
    monkeypatch.setattr(story_room, "_MOST_BYTES", 4_000)
    tell(ledger, started(), *(event(Kind.MEASURED, at=float(n)) for n in range(200)), event(Kind.SHIFTING))
    kinds = [one.kind for one in ledger.events()]
    assert (kinds[0], kinds[-1]) == (Kind.STARTED, Kind.SHIFTING)
    assert 10 < len(kinds) < 60
    assert (ledger.folder / "events.jsonl").stat().st_size <= 4_000


def test_the_latest_reports_are_kept(ledger):
    """The newest twenty, and one that always has the same name."""
    for number in range(25):
        version = f"r-{number}"
        tell(
            ledger, started(version), event(Kind.BAKING, version), finished(version=version, at=100 + number)
        )
    assert ledger.report().version_name == "r-24"
    kept = sorted(path.name for path in (ledger.folder / "reports").glob("*.json"))
    assert len(kept) == 20
    assert kept[0] == "105-r-5.json"
    assert "r-24" in ledger.page.read_text()
    assert len([*(ledger.folder / "reports").glob("*.html")]) == 20


def test_a_page_that_cannot_be_drawn_costs_no_report(ledger, monkeypatch):
    """Nor is the page of another rollout left in its place."""
    tell(ledger, started(), event(Kind.BAKING), finished())
    assert ledger.page
    monkeypatch.setattr("anyservice_core.rollout.page.page", lambda *_: int("no number"))
    tell(ledger, started("r-2"), event(Kind.BAKING, "r-2"), finished(version="r-2"))
    assert ledger.report().version_name == "r-2"
    assert ledger.page is None


def test_an_end_without_a_report_is_an_event_like_others(ledger):
    """Events of an older version have none."""
    tell(ledger, started(), event(Kind.FINISHED, outcome="succeeded"))
    assert ledger.report() is None
    assert [one.kind for one in ledger.events()] == [Kind.STARTED, Kind.FINISHED]


def test_a_plan_that_is_none_any_longer_is_as_good_as_forgotten(ledger):
    """An older version may have allowed what this one does not."""
    tell(ledger, event(Kind.STARTED, plan={"steps": "no ladder"}), event(Kind.BAKING))
    assert ledger.plan() is None
    tell(ledger, event(Kind.STARTED), event(Kind.BAKING))
    assert ledger.plan() is None


def test_a_write_that_fails_leaves_no_draft(ledger, monkeypatch):
    """And what was there before stays whole."""
    ledger.save(journal(weight=5))

    def fail(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("pathlib.Path.replace", fail)
        with pytest.raises(OSError, match="No space"):
            ledger.save(journal(weight=25))
    assert ledger.journal().weight == 5
    assert [path.name for path in ledger.folder.iterdir() if "draft" in path.name] == []


# ── orders ──


def test_orders_come_back_in_order_and_go_with_their_rollout(ledger):
    """What was asked of one rollout must not reach the next."""
    for at in (30.0, 20.0, 110.0):
        ledger.order(Order(kind=OrderKind.PAUSE, at=at))
    (ledger.folder / "orders" / "damaged.json").write_text("{")
    assert [order.at for order in ledger.orders()] == [20, 30, 110]
    ledger.save(journal(orders_from=10.0))
    ledger.save(journal(orders_from=100.0))
    assert [order.at for order in ledger.orders()] == [110]
    assert len([*(ledger.folder / "orders").iterdir()]) == 1


# ── who runs it ──


def test_a_second_run_is_refused_and_told_whose_the_first_is(ledger):
    """One rollout a service at a time on this machine; another service is free."""
    with ledger.held() as lock:
        lock.sign("r-1")
        holder = ledger.running()
        assert (holder.pid, holder.version) == (os.getpid(), "r-1")
        with (
            pytest.raises(ConflictError, match=f"process {os.getpid()} on .*r-1") as caught,
            Ledger(HERE).held(),
        ):
            pass
        assert "rollout status" in caught.value.hint
        with Ledger(Place("http://plane.test", "other")).held():
            pass
        assert ledger.running() == holder
    assert ledger.running() is None
    with ledger.held():
        assert ledger.running().version == ""


def test_a_second_run_may_wait_for_the_end_of_the_first(ledger):
    """It is told of the first, and has the lock as soon as that is gone."""
    told, had = [], threading.Event()

    def second():
        with Ledger(HERE).held(wait=told.append):
            had.set()

    with ledger.held():
        thread = threading.Thread(target=second)
        thread.start()
        deadline = time.monotonic() + 20
        while not told and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not had.is_set()
    assert had.wait(20)
    thread.join()
    assert [holder.pid for holder in told] == [os.getpid()]


HOLD = """
import sys, time
from anyservice_core.ledger import Ledger, Place
with Ledger(Place(*sys.argv[1:])).held():
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_process_that_is_killed_holds_nothing(ledger):
    """By kill -9 too: the system gives the lock back, and the note it left is not believed."""
    command = [sys.executable, "-c", HOLD, HERE.host, HERE.service]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        assert ledger.running().pid == other.pid
        with pytest.raises(ConflictError, match=f"process {other.pid}"), ledger.held():
            pass
        other.send_signal(signal.SIGKILL)
        other.wait()
    assert ledger.running() is None
    assert (ledger.folder / "run.lock").read_text()
    with ledger.held():
        assert ledger.running().pid == os.getpid()


def test_whoever_only_looks_is_in_nobodys_way(ledger):
    """A lock that is asked about all the time can be had all the same."""
    over = threading.Event()
    with ledger.held():
        pass
    (ledger.folder / "run.lock").write_text(json.dumps(Holder(1, "h", 1.0).to_dict()))  # as after kill -9

    def look():
        while not over.is_set():
            ledger.running()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for _ in range(20):
            with ledger.held():
                pass
    finally:
        over.set()
        thread.join()


# ── for a client ──


def test_a_full_disk_stops_no_rollout(ledger, state):
    """It is told, and the rollout goes on without a memory."""
    state.write_text("a file where a folder should be")
    troubles = []
    hooks = ledger.hooks(troubles.append)
    hooks["on_save"]("rollout/recommender", journal())
    hooks["on_report"](started())
    hooks["on_report"](event(Kind.BAKING))
    assert hooks["on_orders"]("rollout/recommender") == []
    assert [type(error).__name__ for error in troubles] == ["NotADirectoryError", "NotADirectoryError"]


def test_what_is_not_of_a_rollout_is_not_kept(ledger, state):
    """Uploads report too."""
    hooks = ledger.hooks()
    hooks["on_report"]("uploading")
    hooks["on_save"]("bundle", PLAN)
    assert not state.exists()
