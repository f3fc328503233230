"""All that an operation may ask for.

An operation is a generator: it yields an *effect*, a plain value that says what it needs,
and is sent the answer. It does no I/O and reads no clock itself, so one source serves
``Client`` and ``AsyncClient`` (see ``client.py``), and a test can hold the conversation by
hand: feed an answer, look at the next effect.

    def uptime() -> Op[float]:
        before = yield from Now()
        yield from Sleep(1.0)
        return (yield from Now()) - before

Rules that keep this safe:

* Only ``yield from`` in operations: every effect is iterable and typed by its answer, while a
  bare ``yield`` would give ``Any``.
* An ``Op`` is used once. To try again, send the ``Request`` again, never the ``Op``.
* Drivers throw whatever went wrong, ``KeyboardInterrupt`` and cancellation included, into the
  operation at the effect that it waits on, so ``try``/``finally`` there acts as in plain code.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar

from anyservice_core.settings import Workspace

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = [
    "Call",
    "Content",
    "Effect",
    "Home",
    "Inside",
    "Now",
    "Op",
    "Orders",
    "Reply",
    "Report",
    "Request",
    "Save",
    "Sleep",
    "Together",
    "Upload",
    "overheard",
    "until",
]

T = TypeVar("T")
M = TypeVar("M")

LAST_REQUEST_S = 1.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back for a ``Request`` or an ``Upload``: any status, body unread by the driver.

    ``elapsed_s`` is how long a request took from asking to the last byte, in seconds.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    elapsed_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP exchange, described but not performed. Its answer is a ``Reply``, whatever the status.

    ``path`` beginning with ``/`` is on the control plane and carries the client's token; an
    absolute URL goes elsewhere (a metric store, the service itself) and never does.
    ``idempotent`` says that sending it twice does no harm, so a lost answer may be asked for again.
    ``lasting`` says that a good answer stays good for minutes (the name of a project, an image that was
    built), so the client may answer it from memory. ``timeout_s`` bounds this one exchange, in seconds; ``None`` means the client's own bound.
    ``within_s`` bounds it too where that is less: what is left of a wait, for instance.
    ``max_bytes`` bounds its answer; one that is longer is a ``DecodeError``. ``redirects`` says whether to follow them,
    which is not for requests whose headers hold a secret.
    """

    method: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict)
    json: Any = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # may carry a query token
    idempotent: bool = True
    lasting: bool = False
    timeout_s: float | None = None
    within_s: float | None = None
    max_bytes: int | None = None
    redirects: bool = True

    def __iter__(self) -> Op[Reply]:
        reply: Reply = yield self
        return reply


class Content(Protocol):
    """``size`` bytes, which ``chunks`` gives from the beginning each time it is called.

    Where it raises, the upload breaks off before its end, so that the storage keeps nothing of it.
    """

    @property
    def size(self) -> int: ...

    def chunks(self) -> Iterator[bytes]: ...


@dataclass(frozen=True, slots=True)
class Upload:
    """Send ``content`` to a presigned URL by PUT, chunk by chunk, without the client's token."""

    url: str = field(repr=False)  # its signature is a secret
    content: Content
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __iter__(self) -> Op[Reply]:
        reply: Reply = yield self
        return reply


@dataclass(frozen=True, slots=True)
class Sleep:
    """Let time pass. ``jitter`` is the share of it, 0 to 1, that the driver may take off at random."""

    seconds: float
    jitter: float = 0.0

    def __iter__(self) -> Op[None]:
        yield self


@dataclass(frozen=True, slots=True)
class Now:
    """The time, in seconds since the epoch: wall time, because deadlines outlive processes."""

    def __iter__(self) -> Op[float]:
        now: float = yield self
        return now


@dataclass(frozen=True, slots=True)
class Report:
    """Tell whoever watches. ``event`` is a frozen dataclass or model with a one-line ``str()``."""

    event: Any

    def __iter__(self) -> Op[None]:
        yield self


@dataclass(frozen=True, slots=True)
class Save:
    """Keep a hint for a later run of the same operation. Losing it may cost time, never safety."""

    key: str
    value: BaseModel

    def __iter__(self) -> Op[None]:
        yield self


@dataclass(frozen=True, slots=True)
class Orders:
    """What people have asked of this operation so far, under the ``key`` that it saves by: plain values.

    The same may be given again and again, so each has an id.
    """

    key: str

    def __iter__(self) -> Op[tuple[Any, ...]]:
        orders: tuple[Any, ...] = yield self
        return orders


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """Run the user's own function, sync or async; off the event loop where there is one."""

    function: Callable[..., Any]
    args: tuple[Any, ...] = ()

    def __iter__(self) -> Op[T]:
        value: T = yield self
        return value


@dataclass(frozen=True, slots=True)
class Inside:
    """The platform's workspace that the client runs in, or ``None``."""

    def __iter__(self) -> Op[Workspace | None]:
        workspace: Workspace | None = yield self
        return workspace


@dataclass(frozen=True, slots=True)
class Home:
    """The control plane's address, without a slash at its end."""

    def __iter__(self) -> Op[str]:
        home: str = yield self
        return home


@dataclass(frozen=True, slots=True)
class Together(Generic[T]):
    """Hold several conversations side by side; their results come in order.

    All are held to their end, also when one fails; then the first failure is raised.
    """

    ops: Sequence[Op[T]]

    def __iter__(self) -> Op[list[T]]:
        results: list[T] = yield self
        return results


Effect: TypeAlias = (
    Request | Upload | Sleep | Now | Report | Save | Orders | Call[Any] | Inside | Home | Together[Any]
)
Op: TypeAlias = Generator[Effect, Any, T]


# ── an operation held inside another ────────────────────────────────────────


def overheard(op: Op[T], listen: Callable[[Any], Any]) -> Op[T]:
    """Hold ``op`` as it is, and let ``listen`` hear each event that it reports."""

    def turn(effect: Effect) -> Op[Effect]:
        yield from ()
        if isinstance(effect, Report):
            listen(effect.event)
        return effect

    return _held(op, turn)


def until(deadline: float, op: Op[T]) -> Op[T]:
    """Hold ``op`` so that it comes to an end soon after ``deadline``, in seconds since the epoch.

    No sleep goes beyond it, and a request at most by ``LAST_REQUEST_S``, so that the last one has a chance.
    """

    def turn(effect: Effect) -> Op[Effect]:
        if isinstance(effect, Together):
            return Together([until(deadline, one) for one in effect.ops])
        if not isinstance(effect, Request | Sleep):
            return effect
        left = deadline - (yield from Now())
        if isinstance(effect, Sleep):
            return replace(effect, seconds=max(0.0, min(effect.seconds, left)))
        bounds = (max(left, LAST_REQUEST_S), effect.within_s)
        return replace(effect, within_s=min(bound for bound in bounds if bound is not None))

    return _held(op, turn)


def _held(op: Op[T], turn: Callable[[Effect], Op[Effect]]) -> Op[T]:
    """Hold ``op``, with each of its effects turned into another."""
    try:
        effect = next(op)
        while True:
            try:
                answer = yield (yield from turn(effect))
            except BaseException as error:  # noqa: BLE001  # it belongs to the operation, as with a driver
                effect = op.throw(error)
            else:
                effect = op.send(answer)
    except StopIteration as stop:
        value: T = stop.value
        return value
