"""Benchmarks that nobody is told of are not run."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_every_benchmark_is_on_the_page():
    """With what it compares."""
    page = (ROOT / "docs" / "explain" / "benchmarks.md").read_text()
    assert [file.name for file in (ROOT / "benchmarks").glob("*.py") if f"`{file.name}`" not in page] == []
