"""Where a rollout stands, as text."""

from dataclasses import replace

import click
import pytest

from anyservice_core.cli.live import ASCII, UNICODE, lines
from anyservice_core.cli.text import columns_of, cut, plain
from anyservice_core.cli.view import View, Watch
from anyservice_core.rollout import Event, Journal, Kind, RolloutPlan
from anyservice_core.rollout.report import Finding, Phase
from anyservice_core.rollout.tally import Tally

PLAN = RolloutPlan.parse(
    {
        "steps": [5, {"weight": 25, "approval": {"timeout": "8h"}}, 50],
        "bake": "30m",
        "metrics": [{"name": "errors", "provider": "router"}],
        "promotion": True,
    }
)
NUMBERS = {
    "canary_requests": 1204.0,
    "canary_bad": 3.0,
    "primary_requests": 3611.0,
    "primary_bad": 9.0,
    "evidence": 0.9,
    "needed": 80.0,
    "evidence_fine": 8.1,
    "needed_fine": 20.0,
}
HEALTHY = Finding(metric="service", phase=Phase.SUCCESSFUL, message="healthy: passed 109 of 109 measurements")
ERRORS = Finding(metric="errors", phase=Phase.INCONCLUSIVE, message="too little to tell", numbers=NUMBERS)
BAKING = View(
    service="recommender",
    version="r-3f2a9c81de",
    plan=PLAN,
    weight=25,
    step=25,
    baked_s=1_092.0,
    findings=(HEALTHY, ERRORS),
    started_at=1_000.0,
    now=1_754.0,
)


def shown(view=BAKING, columns=80, glyphs=UNICODE):
    return [click.unstyle(line) for line in lines(view, columns, glyphs)]


def event(kind, message="", *, weight=None, at=1_000.0, **data):
    return Event(kind, "recommender", "r-3f2a9c81de", weight, message, at, data)


def watched(*events):
    watch = Watch()
    for one in (event(Kind.STARTED, plan=PLAN.to_dict()), *events):
        watch.see(one)
    return watch


# ── lines ──


def test_a_bake_is_seen_at_a_glance():
    """Weights as a bar, the present step marked, the clock, each metric with its numbers and the evidence so far."""
    assert shown() == [
        "recommender  r-3f2a9c81de  12m34s",
        "traffic  ░░░░░░░░░░░░░░░░░░░░░░████████  primary 75 %  canary 25 %",
        "steps    5 % ✓ → [25 %] → 50 % → all",
        "bake     ██████████████████░░░░░░░░░░░░  18m12s of 30m, 11m48s left",
        "metrics  ✓ service  healthy: passed 109 of 109 measurements",
        "         · errors   canary 3 of 1204 bad, primary 9 of 3611 bad",
        "                    fine ██████░░ 8.1 of 20   worse ░░░░░░░░ 0.9 of 80",
    ]


def test_a_terminal_without_unicode_gets_other_marks():
    """Nothing but ASCII."""
    text = "\n".join(shown(glyphs=ASCII))
    assert text.isascii()
    assert "steps    5 % ok -> [25 %] -> 50 % -> all" in text
    assert "bake     ##################............" in text
    assert "+ service" in text


@pytest.mark.parametrize(
    ("phase", "mark"),
    [(Phase.SUCCESSFUL, "✓"), (Phase.INCONCLUSIVE, "·"), (Phase.ERROR, "!"), (Phase.FAILED, "✗")],
)
def test_each_verdict_has_a_mark_and_a_colour(phase, mark):
    """Neither alone would reach everyone."""
    finding = Finding(metric="memory", phase=phase, message="0.98", dry_run=True)
    line = lines(replace(BAKING, findings=(finding,)))[-1]
    assert click.unstyle(line) == f"metrics  {mark} memory  0.98 (dry run)"
    assert (
        len(
            {
                lines(replace(BAKING, findings=(finding.model_copy(update={"phase": one}),)))[-1]
                for one in Phase
            }
        )
        == 4
    )


@pytest.mark.parametrize(("weight", "filled"), [(0, 0), (1, 1), (50, 15), (99, 29), (100, 30)])
def test_a_bar_is_empty_or_full_only_if_it_is(weight, filled):
    """One percent is seen, and so is the last."""
    line = shown(replace(BAKING, weight=weight))[1]
    assert line.count("█") == filled


@pytest.mark.parametrize(
    ("seen", "needed", "bar"),
    [
        (0.2, 20, 0),
        (1.0, 20, 0),
        (1.1, 20, 1),
        (4.5, 20, 4),
        (19.9, 20, 7),
        (20, 20, 8),
        (1e7, 20, 8),
        (1.0, 1.0, 8),
    ],
)
def test_evidence_is_shown_on_its_own_scale(seen, needed, bar):
    """Half a bar is halfway in measurements; what is beyond doubt is not spelled out."""
    numbers = {**NUMBERS, "evidence_fine": seen, "needed_fine": needed}
    line = shown(replace(BAKING, findings=(ERRORS.model_copy(update={"numbers": numbers}),)))[-1]
    assert line.partition("worse")[0].count("█") == bar
    assert ("10000+ of" in line) is (seen == 1e7)


def test_a_comparison_in_trouble_says_so_instead():
    """Old numbers would hide that nothing is measured any more; an incident on both sides is told beside them."""
    lost = ERRORS.model_copy(
        update={"phase": Phase.ERROR, "message": "could not be measured 5 times in a row"}
    )
    assert (
        shown(replace(BAKING, findings=(lost,)))[-1]
        == "metrics  ! errors  could not be measured 5 times in a row"
    )
    both = ERRORS.model_copy(update={"common_mode": True, "message": "both are above 1 %"})
    assert shown(replace(BAKING, findings=(both,)))[-1] == "                   both are above 1 %"


@pytest.mark.parametrize(
    ("gate", "command"),
    [
        ("25", "anyservice rollout approve recommender --local"),
        ("promotion", "anyservice rollout approve recommender --local"),
        ("pause", "anyservice rollout resume recommender --local"),
        ("window:advance", None),
        (None, None),
    ],
)
def test_what_is_waited_for_is_told_with_the_way_out(gate, command):
    """Until when, and the command that opens the gate, as it is to be typed."""
    view = replace(BAKING, doing="it waits", gate=gate, until=1_754.0 + 28_680, flags=" --local")
    rows = shown(view)[7:]
    assert rows == ["now      it waits (7h58m left)", *([f"         {command}"] if command else [])]


def test_long_words_are_wrapped_and_not_cut():
    """The reason of a wait is what people came for; a trouble too."""
    view = replace(BAKING, doing="because " * 20, trouble="no answer " * 12)
    rows = shown(view)[7:]
    assert "".join(rows).count("because") == 20
    assert "".join(rows).count("answer") == 12
    assert max(map(len, rows)) <= 76


def test_where_nothing_is_known_nothing_is_shown():
    """Before the first event, and before there is a canary."""
    assert lines(View()) == []
    assert shown(View(service="recommender", version="r-1")) == ["recommender  r-1"]
    early = replace(BAKING, weight=None, step=None, findings=())
    assert shown(early) == ["recommender  r-3f2a9c81de  12m34s", "steps    5 % → 25 % → 50 % → all"]


def test_a_step_that_is_not_watched_has_no_clock():
    """Nor has one whose bake is over anything left."""
    quick = replace(BAKING, plan=RolloutPlan.parse({"steps": [25]}))
    assert not any("bake" in line for line in shown(quick))
    assert shown(replace(BAKING, baked_s=1_900.0))[3].endswith("30m of 30m, done")


@pytest.mark.parametrize("weight", [None, 5, 25, 50, 75, 95])
@pytest.mark.parametrize("columns", [40, 60, 80, 200])
def test_a_long_ladder_is_shown_around_where_it_is(weight, columns):
    """On one line, with the present step on it, and as much beside it as fits."""
    plan = RolloutPlan.parse({"steps": "linear5percentevery10minutes"})
    line = shown(replace(BAKING, plan=plan, step=weight, weight=weight), columns)[
        2 if weight is not None else 1
    ]
    assert line.startswith("steps")
    assert weight is None or f"[{weight} %]" in line
    assert len(line) <= max(columns, 39)
    assert (line.count("%") == 19) is (columns == 200)


def test_what_others_wrote_does_not_steer_the_terminal():
    """A metric's words may come from anywhere."""
    evil = Finding(metric="a\x1b[2Jb", phase=Phase.FAILED, message="\x1b]0;title\x07 and\nlines")
    row = shown(replace(BAKING, findings=(evil,)))[4]
    assert row == "metrics  ✗ a?[2Jb  ?]0;title? and lines"


# ── text ──


def test_a_line_is_cut_by_columns_with_its_colours():
    """Wide letters take two, accents none; a style that was begun is ended."""
    assert cut("short", 10) == "short"
    assert cut("longer than that", 10) == "longer th…"
    assert cut("longer than that", 10, "~") == "longer th~"
    assert columns_of("日本") == 4
    assert columns_of("e\u0301") == 1
    assert cut("日本語", 5) == "日本…"
    assert cut(f"{click.style('red and long', fg='red')} rest", 5) == "\x1b[31mred …\x1b[0m"
    assert cut("\x1b[31mred\x1b[0m", 3) == "\x1b[31mred\x1b[0m"


def test_plain_text_is_one_line():
    """White space of any kind is a space."""
    assert plain(" a\n\tb\u00a0c ") == "a b c"
    assert plain("a\x07b\x9b") == "a?b?"


# ── what is told, as a view ──


def test_a_view_follows_what_is_told():
    """The step, its clock and its metrics begin anew with each weight that is seen."""
    watch = watched(event(Kind.DEPLOYING, "deploying"))
    assert watch.known.doing == "deploying"
    watch.see(event(Kind.BAKING, weight=5, at=1_010.0))
    assert (watch.known.step, watch.known.doing) == (5, "")
    numbers = {"measured": 1.0}
    for said in ("memory: 0.8", "memory: 0.9"):
        watch.see(event(Kind.MEASURED, said, weight=5, metric="memory", phase="successful", numbers=numbers))
    assert [finding.message for finding in watch.known.findings] == ["0.9"]
    watch.see(event(Kind.TROUBLE, "no answer", weight=5))
    assert watch.known.trouble == "no answer"
    watch.see(event(Kind.SHIFTING, "asking for 25 %", weight=5))
    assert (watch.known.doing, watch.known.trouble, watch.known.baked_at) == ("asking for 25 %", "", None)
    watch.see(event(Kind.BAKING, weight=25, at=1_900.0))
    assert (watch.known.step, watch.known.findings, watch.known.baked_s) == (25, (), 0.0)
    watch.see(event(Kind.ORDERED, "pause", weight=25))
    assert watch.known.step == 25


def test_the_clock_runs_between_two_saves_and_not_for_ever():
    """It is shown by the second; a process that was lost a day ago has not baked for a day."""
    watch = watched(event(Kind.BAKING, weight=25, at=1_000.0))
    journal = Journal.fresh("k", "r-3f2a9c81de", 0, 900.0).replace(
        weight=25, seen_at=1_000.0, settled=True, baked_s=100.0, looked_at=1_100.0
    )
    watch.keep(journal)
    assert replace(watch.known, now=1_107.0).baked_now_s == 107.0
    assert replace(watch.known, now=90_000.0).baked_now_s == 160.0
    watch.keep(journal.replace(settled=False))
    assert replace(watch.known, now=1_107.0).baked_now_s == 100.0
    assert watch.known.started_at == 900.0


def test_what_is_saved_tells_what_all_metrics_say():
    """The service's own health is never told, only kept."""
    watch = watched(event(Kind.BAKING, weight=25))
    tally = Tally(successful=3, successful_in_row=3)
    watch.keep(Journal.fresh("k", "r-3f2a9c81de", 0, 900.0).replace(weight=25, tallies={"service": tally}))
    assert [finding.metric for finding in watch.known.findings] == ["service", "errors"]
    assert "passed 3 of 3" in watch.known.findings[0].message


def test_a_gate_is_known_to_a_process_that_was_not_told_of_it():
    """Whoever goes on with a rollout does not tell again what it waits for."""
    journal = Journal.fresh("k", "r-3f2a9c81de", 0, 900.0).replace(
        weight=25, settled=True, gate="25", asked_at={"25": 1_000.0}, looked_at=1_100.0
    )
    watch = watched()
    watch.keep(journal)
    assert (watch.known.gate, watch.known.until) == ("25", 1_000.0 + 8 * 3_600)
    assert "waits for an approval" in watch.known.doing
    watch.keep(journal)
    assert watch.known.gate == "25"
    watch.keep(journal.replace(gate=None))
    assert (watch.known.gate, watch.known.doing) == (None, "")
    watch.keep(journal.replace(asked_at={"25": -90_000.0}))  # too late: it is about to be taken back
    assert watch.known.gate is None


def test_a_gate_before_the_deploy_is_known_too():
    """A window that is not open yet."""
    window = {"kind": "allow", "schedule": "0 9 1 1 *", "duration": "1h", "actions": ["start"]}
    plan = RolloutPlan.parse({"steps": [5], "windows": [window]})
    watch = Watch()
    watch.see(event(Kind.STARTED, plan=plan.to_dict()))
    watch.keep(Journal.fresh("k", "r", 0, 900.0).replace(gate="window:start", looked_at=2_000_000.0))
    assert watch.known.gate == "window:start"
    assert "the deploy waits" in watch.known.doing


def test_a_wait_without_a_gate_is_told_until_something_happens():
    """The canary that starts."""
    watch = watched(event(Kind.WAITING, "the canary is STARTING at 0 %"))
    watch.keep(Journal.fresh("k", "r", 0, 900.0))
    assert watch.known.doing == "the canary is STARTING at 0 %"
    assert watch.known.gate is None
