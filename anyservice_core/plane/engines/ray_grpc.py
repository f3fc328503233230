"""gRPC of a Ray version: what Serve's proxy is told, and how it is kept on this machine.

Serve's proxy answers HTTP where it is told to, but gRPC on every interface, without asking for a token. The
router asks for it, so nobody else may get there. Serve hands its options from process to process as an object; ours is
of a class of this module, so each process that gets it imports this module first, and then listens as it says. What
is replaced is private to Ray: a release without it gets no gRPC, and the message says why.

The functions named in ``grpc_servicer_functions`` are called by that proxy, which is none of the user's processes. So
everything that an application may import is on the path of the whole cluster, where gRPC is asked for.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from anyservice_core.errors import PlaneError

__all__ = ["LOOPBACK", "grpc_options", "import_from", "wants_grpc"]

LOOPBACK = "127.0.0.1"
_TAKEN = ("grpc_servicer_functions", "request_timeout_s", "enable_reflection")


def wants_grpc(options: Mapping[str, Any]) -> bool:
    """Say whether these ``grpc_options`` name anything to answer with."""
    return bool(options.get("grpc_servicer_functions"))


def import_from(paths: Sequence[str]) -> None:
    """Let every process that this one starts import from ``paths``, and this package as well."""
    root = str(Path(__file__).parents[3])
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [*paths, root, os.environ.get("PYTHONPATH")]))


def grpc_options(options: Mapping[str, Any], port: int) -> Any:
    """Give the options as Serve takes them, for a proxy that listens at ``port`` of the loopback interface."""
    given = {name: options[name] for name in _TAKEN if options.get(name) is not None}
    return _kind()(port=port, **given)


def _kind() -> type[Any]:
    try:
        from .ray_grpc_options import OnLoopback
    except (ImportError, AttributeError) as error:
        raise PlaneError(
            f"grpc_options: this release of Ray would answer gRPC to the whole network ({error}).",
            hint="Leave them out, or pip install 'ray[serve]>=2.60,<2.61'.",
        ) from error
    return OnLoopback
