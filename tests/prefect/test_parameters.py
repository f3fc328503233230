"""What the ready-made flow says of parameters that are wrong, before it does anything."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from prefect.exceptions import ParameterTypeError

from anyservice_core import RolloutPlan, ServiceConfig
from prefect_tasks import progressive_deploy

pytestmark = [pytest.mark.prefect]

CONFIG = {"name": "recommender", "applications": [{"import_path": "main:app"}]}
PLAN = {"steps": [5, 25], "bake": "15m"}
YAML = re.compile(r"^```yaml[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def test_fields_become_models() -> None:
    """Short forms are understood, as in a file."""
    taken = progressive_deploy.validate_parameters({"config": CONFIG, "plan": PLAN})
    assert taken["config"] == ServiceConfig.parse(CONFIG)
    assert taken["plan"] == RolloutPlan.parse(PLAN)


def test_a_path_stays_a_path() -> None:
    """It is read where the flow runs."""
    taken = progressive_deploy.validate_parameters({"config": "service.yaml", "plan": "rollout.yaml"})
    assert (taken["config"], taken["plan"]) == ("service.yaml", "rollout.yaml")


@pytest.mark.parametrize(("name", "model"), [("config", "ServiceConfig"), ("plan", "RolloutPlan")])
def test_the_form_offers_a_path_or_fields(name: str, model: str) -> None:
    """Two ways to fill it in, each once; code may give a `Path` all the same."""
    text, fields = progressive_deploy.parameters.model_dump()["properties"][name]["anyOf"]
    assert text == {"type": "string"}
    assert fields["$ref"].endswith(model)
    given = {"config": CONFIG, "plan": PLAN} | {name: Path("a.yaml")}
    assert progressive_deploy.validate_parameters(given)[name] == Path("a.yaml")


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"plan": {"stepz": [5]}}, "did you mean `steps`"),
        ({"plan": {"steps": [50, 10]}}, "weights must strictly increase"),
        ({"plan": {"steps": [10], "bake": "a while"}}, "steps[0].bake: 'a while' is not a duration"),
        ({"config": {**CONFIG, "nam": "x"}}, "did you mean 'name'"),
    ],
)
def test_a_mistake_is_told_once_and_in_its_own_words(parameters: dict[str, Any], says: str) -> None:
    """The message is the core's, and not one for each form that the parameter might have had."""
    with pytest.raises(ParameterTypeError) as caught:
        progressive_deploy.validate_parameters({"config": CONFIG, "plan": PLAN} | parameters)
    said = str(caught.value)
    assert says in said
    assert "function-after" not in said


def plans_on_the_pages() -> list[tuple[str, Any]]:
    """Every plan that a page of the documentation shows."""
    pages = (Path(__file__).parents[2] / "docs" / "howto").glob("*.md")
    shown = [(page.stem, text) for page in pages for text in YAML.findall(page.read_text())]
    return [(page, yaml.safe_load(text)["rollout"]) for page, text in shown if text.startswith("rollout:")]


def test_the_form_takes_every_plan_that_the_pages_show() -> None:
    """The server holds parameters against the form's schema: short forms that the plan takes must be in it."""
    form = progressive_deploy.parameters.model_dump()
    plans = plans_on_the_pages()
    assert len(plans) >= 10
    for page, plan in plans:
        try:
            jsonschema.validate({"config": "service.yaml", "plan": plan}, form)
        except jsonschema.ValidationError as error:
            raise AssertionError(f"{page}: {error.json_path}: {error.message}") from error
