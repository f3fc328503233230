"""What a deploy would do, for those who look before they leap."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_serializer

from anyservice_core.models.hiding import hide

__all__ = ["Change", "DeployAction", "DeployPreview", "DeployRequest", "PlannedUpload"]


class DeployAction(StrEnum):
    """What a deploy comes to."""

    CREATE = "CREATE"
    """A new service, whose first version gets all the traffic."""
    RESTART = "RESTART"
    """A service that is terminated, started again; this version gets all the traffic."""
    CANARY = "CANARY"
    """A version beside the one that runs, at a weight that is held."""
    UPDATE = "UPDATE"
    """A version beside the one that runs, to which the traffic moves by itself."""
    WEIGHT = "WEIGHT"
    """Another weight for the canary that is there."""
    IN_PLACE = "IN_PLACE"
    """The version that runs, changed."""
    NOTHING = "NOTHING"
    """The version is there already, as it is wanted."""


class _Shown(BaseModel):
    model_config = ConfigDict(frozen=True)

    def to_dict(self) -> dict[str, Any]:
        """Only plain JSON values, with secrets hidden."""
        return self.model_dump(mode="json")


class Change(_Shown):
    """One place where the live version and the wanted one differ; ``None`` where it is not there. Secrets are hidden."""

    path: str
    before: Any = None
    after: Any = None

    @property
    def sign(self) -> str:
        """``+`` for what is new, ``-`` for what is gone, ``~`` for what is another."""
        if self.before is None:
            return "+"
        return "-" if self.after is None else "~"

    def __str__(self) -> str:
        values = [_short(value) for value in (self.before, self.after) if value is not None]
        return f"{self.sign} {self.path}: {' -> '.join(values)}"


def _short(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_short(item) for item in value)}]"
    return value if isinstance(value, str) and value and value.isprintable() else repr(value)


class DeployRequest(_Shown):
    """The request that a deploy sends. ``body`` is what goes over the wire, word for word.

    It may hold secrets, so it is hidden in ``repr`` and, in part, wherever it is written out.
    """

    method: str
    path: str
    body: dict[str, Any] = Field(repr=False)

    @field_serializer("body")
    def _hidden(self, body: dict[str, Any]) -> dict[str, Any]:
        shown: dict[str, Any] = hide(body)
        return shown


class PlannedUpload(_Shown):
    """A local folder and the URI that its content has. ``known``: the storage has it, so that nothing is to be sent.

    ``size`` in bytes is the folder's.
    """

    folder: str
    uri: str
    size: int
    known: bool

    def __str__(self) -> str:
        return f"{self.folder} ({'unchanged' if self.known else _amount(self.size)})"


def _amount(size: int) -> str:
    if size >= 1e5:
        return f"{size / 1e6:.1f} MB"
    return f"{size / 1e3:.1f} kB" if size >= 1e3 else f"{size} bytes"


class DeployPreview(_Shown):
    """What a deploy would do now; nothing of it is done.

    ``action`` says it in a word and ``summary`` in a sentence. ``request`` is what would be sent, ``None`` if nothing;
    where something has to be made first, such as an image, its id is not there yet and a note in brackets stands for it.
    ``changes`` are the differences to the version that is live, called ``compared_with``, or to nothing for a new service.
    ``beside`` is the version that goes on serving, ``replaces`` the canary that would go, ``weight`` the percent of the
    traffic that is asked for. ``uploads`` are the local folders, ``makes`` what would be made before: a compute config
    registered, an image built. ``notes`` say what to know besides.

    A change has ``path``, ``before``, ``after`` and ``sign``, an upload ``folder``, ``uri``, ``size`` in bytes and ``known``,
    which is true where the storage has it, the request ``method``, ``path`` and ``body``.

    Secrets (values of ``env_vars`` above all) are hidden everywhere but in ``request.body``.
    """

    service: str
    service_id: str | None = None
    version_name: str | None = None
    action: DeployAction
    summary: str
    beside: str | None = None
    replaces: str | None = None
    weight: int | None = None
    compared_with: str | None = None
    request: DeployRequest | None = None
    changes: list[Change] = []
    uploads: list[PlannedUpload] = []
    makes: list[str] = []
    notes: list[str] = []

    @property
    def creates(self) -> bool:
        """Whether there would be a service that is not there yet."""
        return self.action is DeployAction.CREATE

    @property
    def restarts(self) -> bool:
        """Whether a service that is terminated would run again."""
        return self.action is DeployAction.RESTART

    @property
    def adopts(self) -> bool:
        """Whether the version is there already, so that nothing would be sent."""
        return self.action is DeployAction.NOTHING

    def heading(self) -> Iterator[str]:
        """As text, without the differences: the sentence, and what would be made and sent."""
        yield f"{self.service}: {self.summary}"
        for what, items in (("make", self.makes), ("upload", self.uploads), ("note", self.notes)):
            yield from (f"  {what}: {item}" for item in items)
        if self.request:
            yield f"  send: {self.request.method} {self.request.path}"

    def lines(self) -> Iterator[str]:
        """As text: the heading, and each difference after its sign."""
        yield from self.heading()
        if self.request and self.compared_with and not self.changes:
            yield f"  no difference to {self.compared_with}"
        yield from (f"  {change}" for change in self.changes)

    def __str__(self) -> str:
        return "\n".join(self.lines())
