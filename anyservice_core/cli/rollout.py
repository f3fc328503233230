"""``anyservice rollout``: its commands, each in a file of its own that is loaded when it runs."""

from __future__ import annotations

from typing import Final

import click

from anyservice_core.cli.lazy import Entry, LazyGroup, Sections

__all__ = ["rollout"]

_HERE: Final = "anyservice_core.cli"
_ORDERING: Final = f"{_HERE}.ordering"
_COMMANDS: Final[Sections] = {
    "Before": {
        "plan": Entry(f"{_HERE}.timeline", "Check a plan, and show it as a timeline."),
        "backtest": Entry(f"{_HERE}.backtest", "Ask what a plan would have made of the past."),
    },
    "While it runs": {
        "run": Entry(f"{_HERE}.running", "Roll a version out by a plan, and wait until it is over."),
        "status": Entry(f"{_HERE}.standing", "Show where a rollout stands, and who runs it."),
        "list": Entry(f"{_HERE}.orphans", "Show every canary there is, and what would resume or undo it."),
    },
    "Steering": {
        "approve": Entry(_ORDERING, "Open the gate that waits for a person."),
        "promote": Entry(_ORDERING, "Go on from the present step, whatever holds it."),
        "pause": Entry(_ORDERING, "Hold the present weight."),
        "resume": Entry(_ORDERING, "End a pause."),
        "abort": Entry(_ORDERING, "Take the canary back."),
    },
}


@click.group(cls=LazyGroup, sections=_COMMANDS, no_args_is_help=True)
def rollout() -> None:
    r"""Bring a new version to users step by step, and take it back by itself if it is worse.

    \b
      anyservice rollout plan rollout.yaml
      anyservice rollout run -f service.yaml -p rollout.yaml
      anyservice rollout status recommender         from another terminal, as all below
      anyservice rollout approve recommender
      anyservice rollout abort recommender --reason "wrong model"
    """
