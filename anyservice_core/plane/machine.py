"""What this machine can give to a version, and whether a compute config asks for more.

A type of machine is a name: whatever it is elsewhere, here this machine stands in for it. Amounts that are written
out are taken by their word, those of the head and of the nodes that must be there from the start together, since all
of them would have to be on this one.
"""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from anyservice_core.errors import RejectedError
from anyservice_core.models.machines import resources_of
from anyservice_core.models.wire import ComputeSpec, DeploymentSpec, NodeType

__all__ = ["Machine", "check_fit", "cpus_of", "this_machine"]

_LEAST_CPUS: Final = 8
_GIB: Final = 2**30


@dataclass(frozen=True)
class Machine:
    """``cpus`` as Ray's scheduler is told of them, which is book-keeping and no limit; ``memory`` in bytes."""

    cpus: int
    memory: int
    gpus: int
    architecture: str

    def __str__(self) -> str:
        return f"{self.cpus} CPUs, {self.memory / _GIB:.1f} GiB of memory and {self.gpus or 'no'} GPUs"


def this_machine() -> Machine:
    """Look at what there is. A version gets at least eight CPUs on paper, and none of the GPUs."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Machine(max(_LEAST_CPUS, os.cpu_count() or 1), memory, 0, platform.machine())


def check_fit(spec: ComputeSpec, machine: Machine) -> None:
    """Refuse a compute config that asks for more than this machine has.

    Raises:
        RejectedError: naming what is asked for, by whom, and how much would fit.
    """
    asked = [node for number, part in enumerate(resources_of(spec)) for node in _nodes(number, part)]
    for what, there, unit in (
        ("cpu", machine.cpus, 1),
        ("gpu", machine.gpus, 1),
        ("memory", machine.memory, _GIB),
    ):
        shares = [(where, count * amount / unit) for where, count, has in asked if (amount := has.get(what))]
        if (total := sum(amount for _, amount in shares)) > there / unit:
            whose = ", ".join(f"{where} {amount:g}" for where, amount in shares[:5])
            raise RejectedError(
                f"the compute config asks for {total:g}{_UNITS[what]} ({whose}), and this machine has {machine}.",
                hint=f"At most {there / unit:g}{_UNITS[what]} would fit.",
                status=422,
            )
    for where, _, has in asked:
        _check_kind(where, has, machine)


def cpus_of(spec: ComputeSpec, machine: Machine) -> int | None:
    """Give how many CPUs a version may have by its compute config, ``None`` if that does not say.

    That is what the head and all that its workers may grow to have together, as far as this machine goes.
    """
    total = 0.0
    for part in resources_of(spec):
        total += _has("head", part.head_node_type).get("cpu", 0)
        for worker in part.worker_node_types or ():
            most = max(worker.max_workers or 0, worker.min_workers or 0)
            total += most * _has("worker", worker).get("cpu", 0)
    return min(math.ceil(total), machine.cpus) or None


_UNITS: Final = {"cpu": " CPUs", "gpu": " GPUs", "memory": " GiB of memory"}


def _check_kind(where: str, has: Mapping[str, Any], machine: Machine) -> None:
    """Refuse what is of another kind than this machine."""
    wanted = has.get("cpu_architecture")
    if wanted and _ARCHITECTURES.get(str(wanted).lower(), wanted) != machine.architecture:
        raise RejectedError(
            f"{where}.cpu_architecture is '{wanted}', and this machine is of '{machine.architecture}'.",
            hint="Leave it out.",
            status=422,
        )
    for name in ("accelerator", "tpu"):
        if has.get(name):
            raise RejectedError(
                f"{where}.{name} is '{has[name]}', and this machine has no such thing.",
                hint="Leave it out.",
                status=422,
            )


_ARCHITECTURES: Final = {"amd64": "x86_64", "x86_64": "x86_64", "arm64": "aarch64", "aarch64": "aarch64"}


def _nodes(number: int, part: DeploymentSpec) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Give each kind of node that there must be: where it is said, how many, and what each has."""
    place = "" if number == 0 else f"deployment_configs[{number}]."
    yield f"{place}head_node_type", 1, _has(f"{place}head_node_type", part.head_node_type)
    for index, worker in enumerate(part.worker_node_types or ()):
        where = f"{place}worker_node_types[{index}]"
        least, most = worker.min_workers or 0, worker.max_workers
        if least < 0 or (most is not None and most < least):
            raise RejectedError(f"{where} is to have {least} to {most} nodes.", status=422)
        yield where, least, _has(where, worker)


def _has(where: str, node: NodeType) -> dict[str, Any]:
    """Give what a node of this kind has, as far as that is written out."""
    has = {**(node.required_resources or {}), **(node.resources or {})}
    found = {key.lower(): value for key, value in has.items() if value is not None}
    for name in _UNITS.keys() & found.keys():
        if not _is_amount(found[name]):
            raise RejectedError(f"{where}.{name} is {found[name]!r}, which is no amount.", status=422)
    return found


def _is_amount(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf
