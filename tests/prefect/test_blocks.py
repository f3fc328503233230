"""The credentials block: what Prefect asks of a block, and what we ask of it."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path

import pytest
from prefect import get_client
from prefect.blocks.core import Block
from prefect.client.schemas.actions import BlockDocumentUpdate
from prefect.testing.standard_test_suites.blocks import BlockStandardTestSuite

import prefect_tasks
from anyservice_core import ConfigError
from prefect_tasks import AnyserviceCredentials, ServiceRollout

pytestmark = [pytest.mark.prefect, pytest.mark.timeout(240)]

TOKEN = "aph0_secret"


class TestStandards(BlockStandardTestSuite):
    """Prefect's own suite for blocks, for all that we have, but for the logo: it would be fetched from the network."""

    test_has_a_valid_image = None  # type: ignore[assignment]

    @pytest.fixture(params=[AnyserviceCredentials, ServiceRollout])
    def block(self, request: pytest.FixtureRequest) -> type[Block]:
        block: type[Block] = request.param
        return block


def test_every_block_that_the_package_has_is_held_to_the_standards() -> None:
    """A new block cannot slip by the suite."""
    found = {one for one in vars(prefect_tasks).values() if isinstance(one, type) and issubclass(one, Block)}
    assert found == {AnyserviceCredentials, ServiceRollout}


def test_what_is_given_goes_to_the_client() -> None:
    """A full block leaves nothing to the environment."""
    block = AnyserviceCredentials(host="http://127.0.0.1:1/", token=TOKEN, cloud="main", project="shop")
    with block.get_client() as client:
        settings = client.settings
    assert (settings.host, settings.token) == ("http://127.0.0.1:1", TOKEN)
    assert (settings.cloud, settings.project) == ("main", "shop")


@pytest.mark.anyio
async def test_what_is_missing_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty block finds host and token where the command line does, in both colours."""
    monkeypatch.setenv("ANYSERVICE_HOST", "http://127.0.0.1:2")
    monkeypatch.setenv("ANYSERVICE_CLI_TOKEN", TOKEN)
    with AnyserviceCredentials().get_client() as client:
        assert (client.settings.host, client.settings.token) == ("http://127.0.0.1:2", TOKEN)
    async with AnyserviceCredentials().get_async_client() as aclient:
        assert aclient.settings == client.settings


def test_local_without_a_plane_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host "local" where no plane is up is our error, with the way out."""
    monkeypatch.setenv("ANYSERVICE_STATE_DIR", str(tmp_path))
    with pytest.raises(ConfigError, match="anyservice plane up"):
        AnyserviceCredentials(host="local").get_client()


@pytest.mark.usefixtures("prefect_server")
def test_a_saved_block_is_found_by_name_and_keeps_its_secret() -> None:
    """A block comes back with its token, which the server shows to nobody who does not ask for secrets."""
    saved = AnyserviceCredentials(host="http://127.0.0.1:3", token=TOKEN)
    saved.save("prod", overwrite=True)
    loaded = AnyserviceCredentials.named("prod")
    assert loaded.token is not None
    assert loaded.token.get_secret_value() == TOKEN
    with get_client(sync_client=True) as client:
        shown = client.read_block_document_by_name(
            "prod", "anyservice-credentials", include_secrets=False
        ).data
    assert shown["host"] == "http://127.0.0.1:3"
    assert TOKEN not in str(shown)
    assert TOKEN not in repr(loaded)


@pytest.mark.usefixtures("prefect_server")
def test_a_block_that_is_edited_keeps_the_secret_that_nobody_touched() -> None:
    """The form in the UI shows a token as stars, and sends the stars back with whatever was changed."""
    AnyserviceCredentials(host="http://127.0.0.1:3", token=TOKEN, cloud="main").save("edited", overwrite=True)
    with get_client(sync_client=True) as client:
        shown = client.read_block_document_by_name("edited", "anyservice-credentials", include_secrets=False)
        assert set(str(shown.data["token"])) == {"*"}
        form = {**shown.data, "host": "http://127.0.0.1:4", "cloud": None}
        client.update_block_document(shown.id, BlockDocumentUpdate(data=form, merge_existing_data=False))
    edited = AnyserviceCredentials.named("edited")
    assert (edited.host, edited.cloud) == ("http://127.0.0.1:4", None)
    assert edited.token is not None
    assert edited.token.get_secret_value() == TOKEN


@pytest.mark.usefixtures("prefect_server")
def test_a_name_without_a_block_says_how_to_save_one() -> None:
    """A name that is not there is our error, with the line that saves a block."""
    with pytest.raises(ConfigError, match=r"'nowhere'.*\.save\('nowhere'\)"):
        AnyserviceCredentials.named("nowhere")


@pytest.mark.anyio
@pytest.mark.usefixtures("prefect_server")
async def test_a_block_is_found_from_asynchronous_code() -> None:
    """Loading by name works on an event loop too."""
    await AnyserviceCredentials(project="shop").save("async-prod", overwrite=True)
    assert (await AnyserviceCredentials.anamed("async-prod")).project == "shop"
    with pytest.raises(ConfigError, match="nowhere"):
        await AnyserviceCredentials.anamed("nowhere")


def test_prefect_finds_the_collection_by_itself() -> None:
    """The entry point that Prefect loads leads here."""
    found = entry_points(group="prefect.collections", name="prefect_tasks")
    assert [point.load() for point in found] == [prefect_tasks]
