"""The pages about rollouts say what the code says."""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from anyservice_core.rollout import RolloutPlan

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    sys.path.insert(0, str(DOCS))
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_field_of_a_plan_has_a_meaning(generate: ModuleType) -> None:
    """A field that nobody explains is one that nobody uses rightly."""
    plan = generate.plan
    bare = [
        f"{part.__name__}.{name}"
        for part in plan.parts()
        for name in part.model_fields
        if not plan.meaning(part, name)
    ]
    assert bare == []


def test_every_rule_is_in_the_picture(generate: ModuleType) -> None:
    """The picture is drawn from the table, row by row, and each has a decision with a colour."""
    sections = generate.decisions.sections()
    assert [section.title for section in sections] == [
        "service",
        "without a canary",
        "with a stranger's canary",
        "with our canary",
    ]
    rules = [rule for section in sections for rule in section.rules]
    assert len(rules) > 30
    picture = generate.decisions.picture()
    assert picture.count('class="rule"') == len(rules)
    assert {generate.decisions.kind(decision) for _, decision in rules} == {
        "wait",
        "forward",
        "back",
        "person",
        "end",
    }


PLANS = [
    pytest.param(block, id=f"{page.stem}-{number}")
    for page in sorted(DOCS.glob("*/*.md"))
    for number, block in enumerate(re.findall(r"```yaml[^\n]*\n(.*?)```", page.read_text(), re.DOTALL))
    if re.search(r"^(rollout|steps):", block, re.MULTILINE)
]


@pytest.mark.parametrize("block", PLANS)
def test_every_plan_in_the_pages_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: str
) -> None:
    """What people copy works, in a folder with the module that the pages speak of."""
    (tmp_path / "team").mkdir()
    (tmp_path / "team" / "checks.py").write_text("def smoke(target):\n    return True\n")
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "rollout.yaml"
    file.write_text(block)
    assert RolloutPlan.from_yaml(file).steps


def test_the_python_of_the_page_about_gates_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client with a mailbox is made as the page says."""
    monkeypatch.setenv("ANYSERVICE_HOST", "http://127.0.0.1:1")
    monkeypatch.setenv("ANYSERVICE_CLI_TOKEN", "aph0_test")
    page = (DOCS / "howto" / "gates.md").read_text()
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(block, names)
    assert names["client"].on_orders("rollout/recommender") is names["mailbox"]
    names["client"].close()
