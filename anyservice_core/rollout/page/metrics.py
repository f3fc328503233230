"""The part of the page that is about the metrics: each with its charts, its verdicts and its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from anyservice_core.rollout.facts import PHASES
from anyservice_core.rollout.history import History, Measured, plain
from anyservice_core.rollout.metric import HEALTH
from anyservice_core.rollout.page.curves import evidence, rates
from anyservice_core.rollout.page.levels import answers, levels
from anyservice_core.rollout.page.markup import Markup, join, tag
from anyservice_core.rollout.page.parts import badge, keys, plot, section, time
from anyservice_core.rollout.page.scale import Scale
from anyservice_core.rollout.page.series import Series
from anyservice_core.rollout.report import Finding, Phase, RolloutReport, StepReport

__all__ = ["metrics"]


def metrics(report: RolloutReport, known: History, scale: Scale) -> Markup | None:
    """All of them, the worst first."""
    told = {name: points[-1].phase for name, points in known.metrics.items()}
    last = told | {one.metric: one.phase for step in report.steps for one in step.findings}
    if not last:
        return None
    names = sorted(last, key=lambda name: (-last[name].rank, name == HEALTH.name))
    all_series = (
        Series(f"metric-{number}", name, known.metrics.get(name, ()), known, scale)
        for number, name in enumerate(names)
    )
    return section("What was measured", (_metric(one, last[one.name], report) for one in all_series))


def _metric(series: Series, last: Phase, report: RolloutReport) -> Markup:
    found = [(step, one) for step in report.steps for one in step.findings if one.metric == series.name]
    dry = (
        tag("small", " dry run, not counted", class_="muted")
        if any(one.dry_run for _, one in found)
        else None
    )
    return tag(
        "article",
        tag("h3", series.name, " ", badge(PHASES[last], "small"), dry),
        _drawn(series) if series.points else None,
        tag("ul", (_verdict(step, one) for step, one in found), class_="verdicts"),
        _numbers(series) if series.points else None,
    )


def _verdict(step: StepReport, finding: Finding) -> Markup:
    weight = tag("span", f"{step.weight} %", class_="at")
    return tag("li", weight, badge(PHASES[finding.phase], "small"), " ", finding.message)


# ── charts ──────────────────────────────────────────────────────────────────


def _drawn(series: Series) -> Markup:
    if series.has("canary_requests"):
        return join(_rates(series), _evidence(series))
    if series.has("value"):
        return plot(keys(("canary", "canary")), levels(series))
    return plot("● it passed, ✕ it failed, ◆ neither, ○ nothing came", answers(series))


def _rates(series: Series) -> Markup:
    caption = join(
        "The share of answers that were bad, in each window of time",
        keys(("canary", "canary"), ("primary", "primary")),
    )
    return plot(caption, rates(series))


def _evidence(series: Series) -> Markup:
    given = series.plan.get("compare")
    compare = given if isinstance(given, Mapping) else {}
    ratio = f"{plain(compare.get('max_ratio')) or 2.0:g} times the primary's rate"
    rate = plain(compare.get("max_rate", 0.01))
    alone = f", or less than {100 * rate:g} %" if rate else ""
    caption = join(
        "Evidence since the step began, as odds: the further from the middle, the surer",
        keys(("worse", f"upwards: more than {ratio}"), ("fine", f"downwards: less than {ratio}{alone}")),
    )
    return plot(caption, evidence(series))


# ── numbers ─────────────────────────────────────────────────────────────────


def _numbers(series: Series) -> Markup:
    """What the charts show, for those who read or copy it."""
    rows = series.thinned()
    columns = list(dict.fromkeys(number for point in rows for number in point.numbers))
    table = tag(
        "table",
        tag("caption", f"{series.name}: sums since the step began", class_="muted"),
        tag("thead", tag("tr", (_head(name) for name in ("UTC", "weight", *columns, "verdict so far")))),
        tag("tbody", (_row(point, columns) for point in rows)),
    )
    of = f" of {len(series.points)}" if len(rows) < len(series.points) else ""
    return tag(
        "details",
        tag("summary", f"The numbers: {len(rows)}{of} measurements"),
        tag("div", table, class_="wide", tabindex="0", role="region", aria_label=f"Numbers of {series.name}"),
    )


def _head(name: str) -> Markup:
    return tag("th", name.replace("_", " "), scope="col")


def _row(point: Measured, columns: Sequence[str]) -> Markup:
    numbers = (f"{point.numbers[name]:,.6g}" if name in point.numbers else "" for name in columns)
    return tag(
        "tr",
        tag("td", time(point.at)),
        (tag("td", text, class_="n") for text in (f"{point.weight} %", *numbers)),
        tag("td", PHASES[point.phase].text),
    )
