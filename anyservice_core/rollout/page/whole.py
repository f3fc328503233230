"""The report as one HTML file, to be mailed, archived or printed: no scripts, nothing fetched, light and dark.

What the events tell is drawn; without them the steps and the verdicts of the report are still there. Names, reasons
and messages may hold anything: all of it is escaped (``markup.py``), and the page forbids itself to run or load
anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from anyservice_core.rollout.events import Event, Kind
from anyservice_core.rollout.facts import Fact, clock, facts, headline, outcome_word, read
from anyservice_core.rollout.history import History, history
from anyservice_core.rollout.page import tables
from anyservice_core.rollout.page.markup import Markup, tag
from anyservice_core.rollout.page.metrics import metrics
from anyservice_core.rollout.page.parts import badge, keys, plot, section, time
from anyservice_core.rollout.page.scale import Scale
from anyservice_core.rollout.page.stairs import stairs
from anyservice_core.rollout.page.style import STYLE
from anyservice_core.rollout.report import Phase, RolloutReport

__all__ = ["page"]

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"


def page(
    report: RolloutReport | Mapping[str, Any],
    events: Iterable[Event | Mapping[str, Any]] = (),
    *,
    note: str = "",
) -> str:
    """The whole page. ``events`` are those of the rollout, of one run or several; ``note`` stands at the top."""
    end = read(report)
    known = history(end, events)
    scale = Scale.of(known.start, known.end, [*known.held, *known.away])
    main = tag(
        "main",
        _summary(end, note),
        _course(end, known, scale),
        metrics(end, known, scale),
        tables.steps(end),
        tables.orders(end),
        tables.log(known),
        _foot(known),
    )
    return f"<!DOCTYPE html>\n{tag('html', _head(end), tag('body', _patterns(), main), lang='en')}\n"


def _head(report: RolloutReport) -> Markup:
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", f"{report.service}: {outcome_word(report).text}"),
        tag("style", Markup(STYLE)),
    )


def _patterns() -> Markup:
    """Hatches, for time that was held and for time that is drawn short."""
    hatches = (_hatch("hatch", 7, 45), _hatch("gap", 6, -45))
    return tag("svg", tag("defs", hatches), class_="aside", aria_hidden="true")


def _hatch(id: str, width: int, angle: int) -> Markup:
    size = {"width": width, "height": width, "patternUnits": "userSpaceOnUse"}
    line = tag("path", class_=id, d=f"M0 0V{width}")
    return tag("pattern", line, id=id, patternTransform=f"rotate({angle})", **size)


def _summary(report: RolloutReport, note: str) -> Markup:
    kind = "Replay of the judge over the past" if report.replayed else "Rollout"
    return tag(
        "header",
        tag("h1", tag("small", kind), report.service, " ", badge(outcome_word(report))),
        tag("p", headline(report), class_="lead"),
        tag("p", note, class_="note") if note else None,
        tag("dl", map(_fact, facts(report)), class_="facts"),
    )


def _fact(fact: Fact) -> Markup:
    value = tag("code", fact.value) if fact.code else fact.value
    return tag("div", tag("dt", fact.name), tag("dd", value))


def _course(report: RolloutReport, known: History, scale: Scale) -> Markup | None:
    """The weight over time, unless nothing took any."""
    if known.end - known.start < 1:
        return None
    named = [("canary", "the canary's share of the traffic"), ("bake", "baking: watched at this weight")]
    if known.held:
        named.append(("held", "held, by people or by the time of day"))
    return section(
        "How it went",
        tag("p", _in_short(report), class_="muted") if report.steps else None,
        plot(keys(*named), stairs(known, scale)),
        tag("ol", (_sign(event, known) for event in known.signs), class_="signs") if known.signs else None,
    )


def _in_short(report: RolloutReport) -> str:
    passed, held = sum(step.phase is Phase.SUCCESSFUL for step in report.steps), len(report.steps)
    if held == 1:
        return f"1 step was held, and {'passed' if passed else 'did not pass'}."
    many = "all" if passed == held else f"{passed} of them" if passed else "none"
    return f"{held} steps were held, and {many} passed."


def _sign(event: Event, known: History) -> Markup:
    """One line; an end for a reason that was just told says it no more."""
    outcome, _, reason = event.message.partition(": ")
    told = event.kind is Kind.FINISHED and any(
        one.kind is Kind.ROLLING_BACK and one.message.endswith(reason) for one in known.signs
    )
    return tag("li", time(event.at), " ", outcome if told else event.message)


def _foot(known: History) -> Markup:
    days = dict.fromkeys(clock(at, "%A %d %B %Y") for at in (known.start, known.end))
    return tag(
        "footer",
        f"Times are UTC, {' to '.join(days)}. Odds are evidence that holds whenever and however often one looks. "
        "Made by anyservice.",
    )
