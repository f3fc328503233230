"""The report as a page: what it says, that nothing can break it, and that everybody can read it."""

import json
import re
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anyservice_core.errors import RolledBackError
from anyservice_core.rollout import Event, Kind, Outcome, RolloutReport, StepReport
from anyservice_core.rollout.history import History, Measured, Span, history
from anyservice_core.rollout.orders import Order, OrderKind
from anyservice_core.rollout.page import page
from anyservice_core.rollout.page.chart import Range, curve, nice
from anyservice_core.rollout.page.levels import levels
from anyservice_core.rollout.page.markup import Markup, join, tag
from anyservice_core.rollout.page.scale import Scale, _merged
from anyservice_core.rollout.page.series import Series
from anyservice_core.rollout.page.style import DARK, LIGHT, STYLE
from anyservice_core.rollout.report import Finding, Phase

T = 1_800_000_000.0
COUNTS = ("canary_requests", "canary_bad", "primary_requests", "primary_bad")


def event(kind: Kind, at: float, message: str, weight: int | None = None, **data: Any) -> Event:
    return Event(kind, "rec", "r-2", weight, message, T + at, data)


def counted(
    at: float, *counts: float, phase: str = "inconclusive", weight: int = 5, **numbers: float
) -> Event:
    known = {"evidence": 0.5, "needed": 40.0, "evidence_fine": 3.0, "needed_fine": 20.0, **numbers}
    numbers = {**dict(zip(COUNTS, counts, strict=True)), **known}
    return event(Kind.MEASURED, at, "errors: so many", weight, metric="errors", phase=phase, numbers=numbers)


def valued(at: float, value: float | None, phase: str = "successful", **numbers: float) -> Event:
    numbers = numbers if value is None else {**numbers, "value": value}
    return event(Kind.MEASURED, at, "memory: so much", 5, metric="memory", phase=phase, numbers=numbers)


def report(outcome: Outcome = Outcome.ROLLED_BACK, **fields: Any) -> RolloutReport:
    known = {
        "service": "rec",
        "version_name": "r-2",
        "reason": "it errs",
        "started_at": T,
        "ended_at": T + 600.0,
    }
    return RolloutReport(outcome=outcome, **{**known, **fields})


def step(weight: int = 5, phase: Phase = Phase.SUCCESSFUL, **fields: Any) -> StepReport:
    findings = (Finding(metric="errors", phase=phase, message="so many"),)
    return StepReport(
        **{
            "weight": weight,
            "seen_at": T + 10,
            "baked_s": 300.0,
            "phase": phase,
            "findings": findings,
            **fields,
        }
    )


def parsed(text: str) -> ET.Element:
    """A page is XML too, so a parser that forgives nothing shows that every tag is closed."""
    assert text.startswith("<!DOCTYPE html>\n")
    return ET.fromstring(text.removeprefix("<!DOCTYPE html>\n"))


def words(element: ET.Element) -> str:
    return " ".join(" ".join(element.itertext()).split())


def section(text: str, name: str) -> ET.Element:
    found = [one for one in parsed(text).iter("section") if words(next(one.iter("h2"))) == name]
    assert len(found) == 1, name
    return found[0]


def charts(element: ET.Element) -> list[str]:
    return [words(next(one.iter("title"))) for one in element.iter("svg") if one.get("role") == "img"]


# ── what it says ────────────────────────────────────────────────────────────


def test_a_canary_that_errs_is_shown_with_its_end_its_reason_and_its_evidence(stage: Any) -> None:
    """The first sentence says it all; the worst metric comes first, with both charts."""
    stage.first()
    stage.events.clear()
    stage.plane.send_traffic(100, errors={stage.version(): 0.2})
    said = stage.fails(RolledBackError)
    text = page(said, stage.events)
    header = words(next(parsed(text).iter("header")))
    assert "rec ↶ rolled back" in header
    assert f"{stage.version()} was rolled back at 10 % after" in header
    assert stage.version(1) in header
    assert "times the primary's rate" in header
    measured = section(text, "What was measured")
    assert [words(one) for one in measured.iter("h3")] == ["errors ✕ failed", "service ✓ passed"]
    assert charts(measured) == [
        "errors: the share of bad answers of both versions over time",
        "errors: evidence that it is worse, and that it is fine",
    ]
    assert "✕ failed from 40 to 1" in words(measured)
    assert len(list(section(text, "Steps").iter("tr"))) == 2
    log = words(section(text, "What happened"))
    assert "rolling back: errors:" in log


def test_the_same_from_plain_values(stage: Any) -> None:
    """What was written as JSON is drawn like what is in memory."""
    stage.first()
    stage.events.clear()
    done = stage.run()
    plain = json.loads(json.dumps([one.to_dict() for one in stage.events]))
    assert page(json.loads(json.dumps(done.to_dict())), plain) == page(done, stage.events)


def test_a_report_alone_is_a_page_too() -> None:
    """Without events there are no charts of metrics, but steps, verdicts and the way of the weight."""
    text = page(report(Outcome.SUCCEEDED, steps=(step(), step(50, Phase.INCONCLUSIVE, seen_at=T + 310))))
    course = section(text, "How it went")
    assert "2 steps were held, and 1 of them passed." in words(course)
    assert "0 % from 08:00:00, 5 % from 08:00:10, 50 % from 08:05:10, 100 % from 08:10:00" in words(course)
    assert charts(section(text, "What was measured")) == []
    assert "? undecided" in words(section(text, "Steps"))


def test_nothing_done_is_a_short_page() -> None:
    """A build that is there already needs neither chart nor table."""
    text = page(report(Outcome.NO_CHANGE, reason="this very version is primary already", ended_at=T))
    assert list(parsed(text).iter("section")) == []
    assert "r-2 changed nothing: this very version is primary already." in words(parsed(text))


@pytest.mark.parametrize(
    ("phases", "said"),
    [
        ([Phase.SUCCESSFUL], "1 step was held, and passed."),
        ([Phase.FAILED], "1 step was held, and did not pass."),
        ([Phase.SUCCESSFUL] * 2, "2 steps were held, and all passed."),
        ([Phase.ERROR] * 2, "2 steps were held, and none passed."),
    ],
)
def test_steps_are_summed_up_in_a_sentence(phases: list[Phase], said: str) -> None:
    """How many there were, and how many passed."""
    steps = tuple(step(n + 1, phase, seen_at=T + n) for n, phase in enumerate(phases))
    assert said in words(parsed(page(report(steps=steps))))


def test_people_and_what_they_ordered_are_named() -> None:
    """Who, what, why, and what it was about; on the drawing by number."""
    orders = (
        Order(kind=OrderKind.PAUSE, at=T + 50, by="Ann", reason="lunch", weight=5, gate="5"),
        Order(kind=OrderKind.ABORT, at=T + 99),
    )
    told = [
        event(Kind.BAKING, 10, "weight 5 % seen", 5, bake_s=300.0),
        event(Kind.ORDERED, 50, "pause by Ann: lunch", 5),
        event(Kind.WAITING, 60, "paused by Ann: lunch", 5, gate="pause"),
        event(Kind.ORDERED, 99, "abort by someone", 5),
        event(Kind.ROLLING_BACK, 100, "rolling back: aborted by someone", 5),
        event(Kind.FINISHED, 102, "rolled back: aborted by someone", outcome="rolled_back"),
    ]
    text = page(report(orders=orders, steps=(step(held_s=40.0),), ended_at=T + 102), told)
    table = words(section(text, "Who ordered what"))
    assert "08:00:50 pause the gate 5, at 5 % Ann lunch" in table
    assert "08:01:39 abort before the start someone \N{EN DASH}" in table
    course = section(text, "How it went")
    assert [words(one) for one in course.iter("li")][-5:] == [
        "08:00:50 pause by Ann: lunch",
        "08:01:00 paused by Ann: lunch",
        "08:01:39 abort by someone",
        "08:01:40 rolling back: aborted by someone",
        "08:01:42 rolled back",
    ]
    assert "held, by people or by the time of day" in words(course)
    assert "Held by people and windows 40s" in words(next(parsed(text).iter("header")))


def test_a_metric_that_brings_numbers_is_drawn_with_its_ranges() -> None:
    """Good and bad stand in words at the edges; a dry run is called one."""
    metric = {"name": "memory", "success": {"max": 0.9}, "failure": {"min": 0.97}}
    told = [
        event(Kind.STARTED, 0, "rolling out", plan={"metrics": [metric]}),
        event(Kind.BAKING, 10, "weight 5 % seen", 5, bake_s=300.0),
        valued(60, 0.5, successful=1.0),
        valued(120, 0.95, "inconclusive", successful=1.0, inconclusive=1.0),
        valued(180, 0.99, "failed", successful=1.0, inconclusive=1.0, failed=1.0),
        valued(240, None, "failed", failed=1.0, errors_in_row=1.0),
    ]
    findings = (Finding(metric="memory", phase=Phase.FAILED, message="0.99", dry_run=True),)
    text = page(report(steps=(step(findings=findings),)), told)
    (drawn,) = [one for one in section(text, "What was measured").iter("svg") if one.get("role") == "img"]
    assert "✓ good up to 0.9" in words(drawn)
    assert "✕ bad from 0.97" in words(drawn)
    assert [one.get("class") for one in drawn.iter("path") if "dot" in str(one.get("class"))] == [
        "dot good",
        "dot warn",
        "dot bad",
        "dot none",
    ]
    assert "no number" in words(drawn)
    assert "dry run, not counted" in words(section(text, "What was measured"))


def test_a_metric_that_says_yes_or_no_is_a_row_of_signs() -> None:
    """A sign for each answer, with what it said."""
    told = [
        event(Kind.BAKING, 10, "weight 5 % seen", 5),
        event(
            Kind.MEASURED,
            20,
            "smoke: it said yes",
            5,
            metric="smoke",
            phase="successful",
            numbers={"successful": 1.0},
        ),
        event(
            Kind.MEASURED,
            30,
            "smoke: it said no",
            5,
            metric="smoke",
            phase="failed",
            numbers={"successful": 1.0, "failed": 1.0},
        ),
    ]
    measured = section(page(report(), told), "What was measured")
    assert charts(measured) == ["smoke: what it said over time"]
    assert "08:00:30: failed; it said no" in words(measured)


def test_a_note_and_a_replay_are_told_at_the_top() -> None:
    """Nobody shall take what would have happened for what has."""
    text = page(report(replayed=True, steps=(step(),)), note="Gates were left out.")
    header = words(next(parsed(text).iter("header")))
    assert "Replay of the judge over the past" in header
    assert "r-2 would have been rolled back after 10m: it errs." in header
    assert "Gates were left out." in header


def test_a_long_log_keeps_its_beginning_and_its_end() -> None:
    """A page stays a page; how much is left out is said."""
    told = [event(Kind.TROUBLE, n, f"trouble {n}") for n in range(400)]
    log = section(page(report(), told), "What happened")
    rows = [words(one) for one in log.iter("tr")]
    assert len(rows) == 1 + 300 + 1
    assert rows[61] == "100 more lines"
    assert rows[-1].endswith("trouble 399")


def test_measurements_that_change_nothing_are_no_lines() -> None:
    """The verdict is told when it changes, and anew at each step."""
    told = [
        event(Kind.BAKING, 0, "weight 5 % seen", 5),
        *[counted(10 + n, 10.0 * n, 0, 90.0 * n, 0) for n in range(5)],
        counted(20, 60, 0, 540, 0, phase="successful"),
        event(Kind.BAKING, 30, "weight 50 % seen", 50),
        counted(40, 10, 0, 10, 0, phase="successful", weight=50),
    ]
    log = section(page(report(), told), "What happened")
    assert len(list(log.iter("tr"))) == 1 + 5
    assert "Without 4 measurements that changed no verdict." in words(log)


def test_thousands_of_measurements_make_no_page_of_thousands() -> None:
    """Of a long bake one window a stripe is drawn, and none is lost: counts are sums."""
    told = [
        event(Kind.BAKING, 0, "weight 5 % seen", 5),
        *[counted(n, 2.0 * n, n // 50, 18.0 * n, n // 10) for n in range(1, 5_000)],
    ]
    text = page(report(ended_at=T + 5_000), told)
    assert len(text) < 200_000
    numbers = next(section(text, "What was measured").iter("details"))
    assert re.search(r"The numbers: 1\d\d of 4999 measurements", words(numbers))
    assert "9,998" in words(numbers)


def test_hours_of_waiting_do_not_hide_minutes_of_measuring() -> None:
    """They are drawn short, hatched, and their length is written on them."""
    told = [
        event(Kind.BAKING, 0, "weight 5 % seen", 5, bake_s=600.0),
        event(Kind.WAITING, 600, "waits for an approval", 5, gate="5"),
        event(Kind.SHIFTING, 36_600, "asking for 50 %", 5),
        event(Kind.BAKING, 36_605, "weight 50 % seen", 50, bake_s=600.0),
        counted(36_665, 10, 0, 10, 0, weight=50),
        event(Kind.FINISHED, 37_205, "succeeded", 100, outcome="succeeded"),
    ]
    text = page(report(Outcome.SUCCEEDED, ended_at=T + 37_205), told)
    assert words(parsed(text)).count("≈ 10h") == 3


# ── whom it serves ──────────────────────────────────────────────────────────


def test_the_page_needs_nothing_and_runs_nothing(stage: Any) -> None:
    """No script, no address, no file beside it; and it says so to the browser."""
    stage.first()
    text = page(stage.run(), stage.events)
    assert [one.get("content") for one in parsed(text).iter("meta") if one.get("http-equiv")] == [
        "default-src 'none'; style-src 'unsafe-inline'"
    ]
    assert not re.search(r"<script|https?:|url\((?!#)|@import|<link|<img|<iframe", text)


def test_headings_tables_and_drawings_are_what_they_are(stage: Any) -> None:
    """One first heading, no level left out, heads on tables, words for each drawing, ids that are one's own."""
    stage.first()
    root = parsed(page(stage.run(), stage.events))
    levels_of = [int(one.tag[1]) for one in root.iter() if re.fullmatch("h[1-6]", one.tag)]
    assert levels_of.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels_of))
    assert all(one.get("scope") == "col" for one in root.iter("th"))
    ids = [one.get("id") for one in root.iter() if one.get("id")]
    assert len(ids) == len(set(ids))
    for one in root.iter("svg"):
        if one.get("role") == "img":
            assert all(name in ids for name in str(one.get("aria-labelledby")).split())
            assert all(words(part) for part in (*one.iter("title"), *one.iter("desc")))
    assert root.get("lang") == "en"


def luminance(colour: str) -> float:
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_everything_can_be_told_from_what_it_stands_on(colours: dict[str, str]) -> None:
    """Text 4.5 to 1, lines and signs 3 to 1, in both schemes."""
    for text in ("ink", "muted", "good", "bad", "warn", "primary"):
        for ground in ("paper", "card"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    for mood in ("good", "bad", "warn"):
        assert contrast(colours[mood], colours[f"{mood}-tint"]) >= 4.5, mood
    assert contrast(colours["ink"], colours["none-tint"]) >= 4.5
    for line in ("canary", "primary", "good", "bad", "warn", "muted"):
        assert contrast(colours[line], colours["paper"]) >= 3, line
    assert set(re.findall(r"var\(--([\w-]+)\)", STYLE)) <= set(colours)


# ── that nothing can break it ───────────────────────────────────────────────

ANY = st.text(st.characters(codec=None), max_size=40) | st.sampled_from(
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "]]>",
        "--><b>",
        "&lt;",
        "\ud800",
        "\u202e",
    ]
)
NUMBER = st.floats() | st.integers(-5, 10**6) | st.none() | ANY


@settings(max_examples=60, deadline=None)
@given(
    names=st.tuples(ANY, ANY, ANY, ANY),
    numbers=st.dictionaries(
        st.sampled_from([*COUNTS, "value", "evidence", "needed"]) | ANY, NUMBER, max_size=6
    ),
    plan=st.dictionaries(
        st.sampled_from(["name", "success", "failure", "compare"]),
        ANY | st.dictionaries(ANY, NUMBER, max_size=2),
        max_size=4,
    ),
    times=st.lists(st.floats(-1e3, 1e12), min_size=3, max_size=3),
)
def test_names_and_numbers_may_be_anything(
    names: tuple[str, str, str, str], numbers: dict[str, Any], plan: dict[str, Any], times: list[float]
) -> None:
    """Whatever people, stores and files hold: the page is whole, and no part of it is theirs."""
    metric, message, service, reason = names
    told = [
        event(Kind.STARTED, 0, message, plan={"metrics": [plan, {"name": metric, **plan}, 7]}),
        event(Kind.BAKING, times[0], message, 5, bake_s=numbers.get("value")),
        event(Kind.MEASURED, times[1], message, 5, metric=metric, phase="failed", numbers=numbers),
        event(Kind.WAITING, times[2], message, 5, gate=metric),
        {"kind": "measured", "at": "never"},
        {"kind": "of a newer version"},
    ]
    order = Order(kind=OrderKind.ABORT, at=times[0], by=metric, reason=message, gate=service)
    findings = (Finding(metric=metric, phase=Phase.FAILED, message=message),)
    end = report(service=service, reason=reason, orders=(order,), steps=(step(findings=findings),))
    text = page(end, told)
    text.encode()
    root = parsed(text)
    assert {one.tag for one in root.iter()}.isdisjoint({"script", "img", "b", "iframe", "a"})
    assert not any(name.startswith("on") for one in root.iter() for name in one.attrib)


def test_what_is_not_markup_is_escaped() -> None:
    """By default, so that nobody can forget it."""
    assert (
        tag("p", "<b>", Markup("<i/>"), None, 5, ["&", ["x"]], title='"')
        == '<p title="&quot;">&lt;b&gt;<i/>5&amp;x</p>'
    )
    assert (
        tag("rect", x=1, y=None, class_="a", aria_hidden="true")
        == '<rect x="1" class="a" aria-hidden="true"/>'
    )
    assert join("a\x00b\ud800\u202e") == "a\ufffdb\ufffd\ufffd"


# ── drawing ─────────────────────────────────────────────────────────────────


def test_time_goes_from_left_to_right_and_waits_take_little_room() -> None:
    """Strictly forward, from 0 to 100, and what is outside is at the edges."""
    scale = Scale.of(
        T, T + 7_200, [Span(T + 600, T + 6_600), Span(T + 6_000, T + 6_700), Span(T + 7_000, T + 6_900)]
    )
    assert [scale.x(at) for at in (T - 1, T, T + 7_200, T + 9_999)] == [0, 0, 100, 100]
    wait = scale.x(T + 6_700) - scale.x(T + 600)
    assert 5 < wait < 15
    assert [cut[:2] for cut in scale.cuts] == [(T + 600, T + 6_700)]
    places = [scale.x(T + 60 * minute) for minute in range(121)]
    assert places == sorted(places)
    assert all("08:" in text or "09:" in text for _, text in scale.ticks())


@given(
    st.floats(0, 4e9), st.floats(0, 1e7), st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=4)
)
def test_any_span_of_time_has_a_few_marks(
    start: float, length: float, quiet: list[tuple[float, float]]
) -> None:
    """Seconds or months, with waits or without: a handful, in order, none at the very edge."""
    spans = [Span(start + a * length, start + b * length) for a, b in quiet]
    scale = Scale.of(start, start + length, spans)
    ticks = list(scale.ticks())
    assert len(ticks) <= 9
    assert [x for x, _ in ticks] == sorted(x for x, _ in ticks)
    assert all(2 <= x <= 98 for x, _ in ticks)
    assert scale.x(start) == 0
    assert scale.x(start + max(length, 1.0)) == 100


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=1e-300, max_value=1e300))
def test_a_nice_number_is_not_below_and_not_far(value: float) -> None:
    """One, two, two and a half or five times a power of ten."""
    assert value * (1 - 1e-8) <= nice(value) <= value * 2.51
    assert nice(0) == 1


def test_a_value_outside_is_drawn_at_the_edge() -> None:
    """And one range of no width does not divide by nothing."""
    up = Range(0, 10, 20, 120)
    assert [up.y(value) for value in (-5, 0, 5, 10, 99)] == [120, 120, 70, 20, 20]
    assert Range(3, 3, 20, 120).y(3) == 120
    assert up.grid() == [0, 2, 4, 6, 8, 10]
    assert curve("canary", [], 10) is None


def series(points: list[Measured], plan: dict[str, Any]) -> Series:
    known = History(T, T + 100, plan={"metrics": [{"name": "memory", **plan}]})
    return Series("metric-0", "memory", points, known, Scale.of(T, T + 100))


def level(at: float, value: float) -> Measured:
    return Measured(T + at, T, 1, 5, Phase.SUCCESSFUL, "so much", {"value": value})


@pytest.mark.parametrize(
    ("bound", "said"),
    [
        ({"min": 1, "max": 3}, "✓ good from 1 to 3"),
        ({"min": 1}, "✓ good from 1"),
        ({"max": 3}, "✓ good up to 3"),
    ],
)
def test_a_range_says_where_it_ends(bound: dict[str, float], said: str) -> None:
    """With one end or two."""
    assert said in levels(series([level(10, 2.0), level(20, -4.0)], {"success": bound}))


def test_a_range_without_ends_is_not_drawn() -> None:
    """Nor is what is no range."""
    assert "band" not in levels(series([level(10, 2.0)], {"success": {}, "failure": "high"}))


def test_windows_are_differences_within_a_step() -> None:
    """Sums begin anew at each step, and a short rest is drawn with the window before it."""
    told = [
        event(Kind.BAKING, 0, "seen", 5),
        counted(100, 10, 1, 90, 2),
        counted(200, 30, 1, 190, 2),
        counted(300, 40, 2, 290, 2),
        counted(302, 41, 3, 291, 2),
        event(Kind.BAKING, 310, "seen", 50),
        counted(400, 7, 0, 7, 0, weight=50),
    ]
    end = report()
    known = history(end, told)
    windows = list(Series("m", "errors", known.metrics["errors"], known, Scale.of(T, T + 600)).windows())
    counts = [(w.canary_n, w.canary_bad, w.primary_n, w.primary_bad) for w in windows]
    assert counts == [(10, 1, 90, 2), (20, 0, 100, 0), (11, 2, 101, 0), (7, 0, 7, 0)]
    assert [w.since - T for w in windows] == [0, 100, 200, 310]
    assert windows[0].share("canary") == 0.1
    assert windows[1].pace("primary") == 1.0


def test_a_version_that_nobody_asked_has_no_share() -> None:
    """No line is drawn through what is not known."""
    told = [
        event(Kind.BAKING, 0, "seen", 5),
        counted(100, 0, 0, 90, 2, needed=0.0),
        counted(150, 0, 0, 180, 2, needed=0.0),
    ]
    measured = section(page(report(), told), "What was measured")
    lines = [one.get("class") for one in measured.iter("path")]
    assert "primary" in lines
    assert lines.count("canary") == 1  # in the key
    assert lines.count("worse") == 1


def test_stretches_that_touch_are_one() -> None:
    """Two waits, one after the other or within it, are drawn short as one; what is apart stays apart."""
    spans = [Span(10, 20), Span(15, 18), Span(20, 30), Span(40, 50), Span(60, 60)]
    assert [*_merged(spans)] == [Span(10, 30), Span(40, 50)]
    assert [*_merged([])] == []
