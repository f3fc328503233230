"""The pages about Prefect, on a whole Prefect and a whole plane: what they have one run is run, what they serve is served."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.cli.test_howtos import BLOCK, HOWTO, follow
from tests.prefect.server import APP, House, until

pytestmark = [pytest.mark.prefect_e2e, pytest.mark.real, pytest.mark.timeout(600)]

PAGES = sorted(page.stem for page in HOWTO.glob("prefect_*.md"))
PLAN = "rollout: {steps: [50], bake: 1s}\n"


def service(folder: Path, name: str, version: str) -> str:
    """Write the next version of a service, and give the text of its config."""
    app = folder / f"{name}-app"
    app.mkdir(parents=True, exist_ok=True)
    (app / "main.py").write_text(APP.format(errors=0, name=version))
    return f"name: {name}\nworking_dir: {app}\napplications: [{{import_path: 'main:app'}}]\n"


@pytest.mark.parametrize("page", PAGES)
def test_a_page_does_what_it_says(house: House, page: str, tmp_path: Path) -> None:
    """With a recommender and a ranker that serve, the next versions of both on disk, and a plan."""
    text, folder = (HOWTO / f"{page}.md").read_text(), tmp_path / "page"
    files = ""
    for name, file in (("recommender", "service.yaml"), ("ranker", "ranker.yaml")):
        (tmp_path / file).write_text(service(tmp_path, name, f"before {page}"))
        with house.client() as client:
            client.deploy(str(tmp_path / file), canary_percent=100)
            client.wait(name, timeout_s=120, poll_interval_s=0.3)
        files += f'```yaml title="{file}"\n{service(tmp_path, name, page)}```\n'
    if 'title="rollout.yaml"' not in text:
        files += f'```yaml title="rollout.yaml"\n{PLAN}```\n'

    follow(f"{files}\n{text}\n```console\n$ true\n```\n", folder, house.env | {"PROD_TOKEN": "aph0_prod"})
    for language, title, code in BLOCK.findall(text):
        if language == "python" and ".serve(" in code:
            serve(house, folder / "work", title)


def serve(house: House, folder: Path, file: str) -> None:
    """Serve the deployment of a file until Prefect has it."""
    (name,) = re.findall(r'^        name="(.+)"', (folder / file).read_text(), re.MULTILINE)
    house.spawn("page", sys.executable, file, cwd=folder)
    try:
        until(lambda: name in str(house.post("deployments/filter", {})), f"the deployment of {file}")
    finally:
        house.end("page")
