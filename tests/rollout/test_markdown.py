"""The report as Markdown."""

from typing import Any

from anyservice_core.rollout import Event, Kind, Outcome, RolloutReport, StepReport
from anyservice_core.rollout.facts import NOTHING, clock, facts, headline
from anyservice_core.rollout.markdown import cell, markdown
from anyservice_core.rollout.orders import Order, OrderKind
from anyservice_core.rollout.report import Finding, Phase

T = 1_800_000_000.0


def report(outcome: Outcome = Outcome.ROLLED_BACK, **fields: Any) -> RolloutReport:
    known = {
        "service": "rec",
        "version_name": "r-2",
        "baseline_version": "srv_1",
        "reason": "errors: worse",
        "started_at": T,
        "ended_at": T + 5_400,
    }
    return RolloutReport(outcome=outcome, **{**known, **fields})


def step(**fields: Any) -> StepReport:
    findings = (
        Finding(metric="errors", phase=Phase.FAILED, message="a | b", numbers={"canary_requests": 1234}),
        Finding(metric="p95", phase=Phase.SUCCESSFUL, message="12 ms", dry_run=True),
    )
    known = {"weight": 5, "seen_at": T, "baked_s": 900.0, "phase": Phase.FAILED, "findings": findings}
    return StepReport(**{**known, **fields})


def test_it_has_the_facts_the_steps_the_orders_and_what_happened() -> None:
    """All that the page has in words."""
    order = Order(kind=OrderKind.APPROVE, at=T + 60, by="@ann", reason="fine *now*")
    told = [
        Event(Kind.BAKING, "rec", "r-2", 5, "weight 5 % seen", T + 10),
        Event(Kind.MEASURED, "rec", "r-2", 5, "errors: 3", T + 20, {"metric": "errors", "phase": "failed"}),
    ]
    text = markdown(report(steps=(step(held_s=61.0),), orders=(order,), attempt=1), told)
    for line in (
        "## ↶ rec: rolled back",
        "r-2 was rolled back at 5 % after 1h30m: errors: worse.",
        "- Version: `r-2`",
        "- Version before: `srv_1`",
        "- Took: 1h30m",
        "- Held by people and windows: 1m1s",
        "- Reached: 5 % of the traffic",
        "- Canary requests compared: 1,234",
        "- Attempt: 2",
        "| 5 % | 15m | 1m1s | errors | ✕ failed | a \\| b |",
        "|  |  |  | p95 | ✓ passed | 12 ms (dry run) |",
        "| 08:01:00 | approve | @\u200bann | fine \\*now\\* |",
        "- 08:00:10 weight 5 % seen",
    ):
        assert line in text.splitlines(), line
    assert "errors: 3" not in text


def test_it_is_short_when_there_is_little_to_say() -> None:
    """No empty tables; a step without metrics is still a row; plain values do."""
    text = markdown(report(Outcome.NO_CHANGE, ended_at=T, baseline_version=None).to_dict())
    assert text.splitlines()[0] == "## = rec: no change"
    assert "###" not in text
    assert "r-2 changed nothing: errors: worse." in text
    assert f"| 5 % | 15m | {NOTHING} | {NOTHING} | ✓ passed |  |" in markdown(
        report(steps=(step(findings=(), phase=Phase.SUCCESSFUL),))
    )


def test_nothing_in_it_is_markdown_and_nobody_is_called() -> None:
    """Names and reasons hold what they like: no row breaks, no tag, no link, no mention."""
    evil = "a|b\n# h `c` <img> [x](y) @team \\ \x00\ud800"
    assert cell(evil) == "a\\|b \\# h \\`c\\` \\<img\\> \\[x\\](y) @\u200bteam \\\\ \ufffd\ufffd"
    text = markdown(report(service=evil, reason=evil, version_name="`x`\n"))
    text.encode()
    assert "- Version: `'x'`" in text.splitlines()
    assert [line[:1] for line in text.splitlines() if line] == ["#", "\\", *["-"] * 6]


def test_the_headline_says_what_would_have_been() -> None:
    """In a replay nothing has happened."""
    assert headline(report(Outcome.SUCCEEDED, replayed=True)).startswith("r-2 would have been promoted after")


def test_a_promotion_says_how_far_and_how() -> None:
    """A new service comes up whole."""
    said = {fact.name: fact.value for fact in facts(report(Outcome.SUCCEEDED, steps_skipped=True))}
    assert said["Reached"] == "all traffic, at once: there was no version beside it"
    assert {f.name: f.value for f in facts(report(Outcome.SUCCEEDED))}["Reached"] == "all traffic"


def test_a_time_that_no_calendar_has_is_a_number() -> None:
    """A broken clock breaks no report."""
    assert clock(1e300) == "1e+300"
