"""``anyservice config``: which settings hold, and why."""

import click


@click.group()
def config() -> None:
    """Settings."""
