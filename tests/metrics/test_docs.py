"""The page about metrics says what the code says."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from anyservice_core.metrics import Count, Increase, Said, measure
from anyservice_core.metrics.providers import provider
from anyservice_core.metrics.template import NAMES
from anyservice_core.rollout.metric import Metric
from tests.metrics.talking import TARGET, converse

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "metrics.md").read_text()


def test_the_python_of_the_page_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both checks, and the plan that holds one of them."""
    asked: list[Any] = []

    def post(url: str, **options: Any) -> httpx.Response:
        asked.append((url, options["headers"]))
        return httpx.Response(503)

    monkeypatch.setattr(httpx, "post", post)
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(block, names)
    said = converse(measure(provider({"python": names["smoke"]}), TARGET, compare=False))[1]
    assert said == Said(passed=False, why="HTTP 503")
    assert asked == [("http://127.0.0.1:8700/predict", TARGET.headers())]
    counts = converse(measure(provider({"python": names["from_warehouse"]}), TARGET, compare=True))[1]
    assert counts == Increase(Count(120, 3), Count(1080, 20))
    assert names["plan"].metrics[0].every_s == 60


def test_every_name_that_may_be_filled_in_is_on_the_page() -> None:
    """And the page knows no other."""
    section = PAGE.partition("## What may be filled in")[2]
    assert set(re.findall(r"\{\{ ([\w.]+) \}\}", section)) == set(NAMES)


def test_every_limit_is_on_the_page() -> None:
    """With what exceeding it means."""
    section = PAGE.partition("## How often, how long, how many")[2].partition("\n## ")[0]
    fields = {name for name in Metric.model_fields if "limit" in name}
    assert {"interval", "initial_delay", "count", "on_no_data", "dry_run", *fields} == set(
        re.findall(r"^\| `(\w+)", section, re.MULTILINE)
    )
