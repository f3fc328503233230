"""How a rollout has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from anyservice_core.cli.manners import manners
from anyservice_core.cli.progress import say

if TYPE_CHECKING:
    from anyservice_core.ledger import Ledger

__all__ = ["show_report"]


def show_report(report: dict[str, Any], ledger: Ledger | None) -> None:
    """How it ended, on stdout; on stderr where to read more."""
    if manners().output != "text":
        from anyservice_core.cli import render

        render.show(report)
        return
    for step in report.get("steps", ()):
        click.echo(f"{step['weight']:>3} %  {step['phase']}")
        for finding in step["findings"]:
            click.echo(f"       {finding['metric']}: {finding['message']}")
    if report:
        click.echo(f"{report['service']}: {report['outcome'].replace('_', ' ')}: {report['reason']}")
    if ledger and ledger.page and report.get("steps"):
        say(f"The whole story, for a browser: {ledger.page}")
