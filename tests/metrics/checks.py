"""What users' own checks may look like; imported by name in tests."""

from __future__ import annotations

from anyservice_core.metrics import Target

seen: list[Target] = []
not_a_function = 5


def smoke(target: Target) -> bool:
    seen.append(target)
    return target.weight < 50


async def later(target: Target) -> float:
    return target.window_s


class Checks:
    @staticmethod
    def nested(target: Target) -> bool:
        return bool(target)


def broken(target: Target) -> bool:
    raise RuntimeError(f"no answer with {target.query_auth_token}")


def gives_up(target: Target) -> bool:
    raise SystemExit(3)
