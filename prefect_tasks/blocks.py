"""The block that says where the control plane is, and as whom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Self, TypeAlias, cast

from prefect.blocks.abstract import CredentialsBlock
from pydantic import Field, SecretStr

from anyservice_core import AsyncClient, Client, ConfigError

__all__ = ["DOCS", "LOGO", "AnyserviceCredentials", "Credentials"]

DOCS: Final = "https://docs.anyscale.com/reference/service-api"
LOGO: Final = "https://github.com/ray-project.png?size=200"  # what is deployed are services of Ray Serve


class AnyserviceCredentials(CredentialsBlock):
    """Where services are deployed, and as whom.

    Every field may stay empty: host, token, cloud and project are then found in the process that runs
    the flow, in the environment (`ANYSERVICE_HOST`, `ANYSCALE_CLI_TOKEN`, ...), in
    `~/.anyscale/credentials.json`, or at the plane on that machine.

    Example:
        ```python
        from prefect_tasks import AnyserviceCredentials

        credentials = AnyserviceCredentials.load("BLOCK_NAME")
        with credentials.get_client() as client:
            print(client.status("recommender").state)
        ```
    """

    _block_type_name = "Anyservice Credentials"
    _block_type_slug = "anyservice-credentials"
    _documentation_url = DOCS  # type: ignore[assignment]  # Prefect keeps it as text
    _logo_url = LOGO  # type: ignore[assignment]
    # For the UI, which breaks lines where the docstring does.
    _description = (
        "Where services are deployed, and as whom. Every field may stay empty: host, token, cloud and project are "
        "then found in the process that runs the flow, in its environment (`ANYSERVICE_HOST`, `ANYSCALE_CLI_TOKEN`, "
        "...), in `~/.anyscale/credentials.json`, or at the plane on that machine."
    )

    host: str | None = Field(
        default=None,
        description="Address of the control plane, or `local` for the plane on the machine that runs the flow.",
    )
    token: SecretStr | None = Field(default=None, description="Token for the control plane.")
    cloud: str | None = Field(default=None, description="Cloud to use where a call names none.")
    project: str | None = Field(default=None, description="Project to use where a call names none.")

    def get_client(self, **options: Any) -> Client:
        """Open a client; ``options`` are those of ``anyservice_core.Client``. Close it, or use it in ``with``.

        Raises ``ConfigError`` if there is no token to be found.
        """
        return Client(self.host, self._token, cloud=self.cloud, project=self.project, **options)

    def get_async_client(self, **options: Any) -> AsyncClient:
        """Open the same as an ``AsyncClient``, for ``async with``."""
        return AsyncClient(self.host, self._token, cloud=self.cloud, project=self.project, **options)

    @classmethod
    def named(cls, name: str) -> Self:
        """Load the block of this name. Raises ``ConfigError`` if there is none."""
        try:
            return cast("Self", cls.load(name))
        except ValueError:
            raise _missing(name) from None

    @classmethod
    async def anamed(cls, name: str) -> Self:
        """Load it from asynchronous code."""
        try:
            return await cls.aload(name)
        except ValueError:
            raise _missing(name) from None

    @classmethod
    def given(cls, value: Any) -> AnyserviceCredentials:
        """Make a block of what a run's parameters keep of one: nothing, a name, a reference or its fields."""
        if isinstance(value, str):
            return cls.named(value)
        if isinstance(value, Mapping) and isinstance(reference := value.get("$ref"), Mapping):
            load: Any = cls.load_from_ref
            return cast("AnyserviceCredentials", load(dict(reference), _sync=True))
        return cls.model_validate(value or {})

    @property
    def _token(self) -> str | None:
        return self.token.get_secret_value() if self.token else None


def _missing(name: str) -> ConfigError:
    return ConfigError(
        f"credentials: no block is saved as {name!r}.",
        hint=f"Save one: AnyserviceCredentials(...).save({name!r}).",
    )


# What tasks and flows accept: a block, the name that one was saved under, or nothing.
Credentials: TypeAlias = AnyserviceCredentials | str | None
