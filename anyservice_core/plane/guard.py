"""Who is listened to: those who show the token. Those who keep showing wrong ones are told to wait.

The token is looked at first, and in constant time, so whoever has it is never kept waiting, whatever others at the
same address do. Each address may be wrong some times at once, and then as often as wrongs are forgiven: one every few
seconds. Beyond that the answer is 429 with the seconds to wait, and costs next to nothing.
"""

from __future__ import annotations

import hmac
import ipaddress
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Final

from anyservice_core.errors import ApiError, AuthError, UnavailableError

__all__ = ["AT_ONCE", "FORGIVEN_S", "OPEN", "Guard", "same"]

AT_ONCE = 20
FORGIVEN_S = 3.0
OPEN: Final[Mapping[str, str]] = {
    "GET /healthz": "says that the plane answers, and nothing else",
    "GET /dashboard/static/{file}": "the dashboard's own files, the same for everyone",
    "POST /dashboard/session": "where a token or a code is shown in a browser; wrong ones are refused and counted",
    "PUT /plane/v1/bundles/{name}": "opened by the signature in its URL, for one file and a while",
}
"""All that answers strangers with anything but 401, and why it may."""
_MOST_ADDRESSES = 10_000
_ROUNDING_S = 1e-3


class Guard:
    """Looks at tokens and counts wrong ones by address. Threads may share it.

    Args:
        token: the right one.
        clock: seconds since the epoch.
    """

    def __init__(self, token: str, clock: Callable[[], float]) -> None:
        self._token = token
        self._clock = clock
        self._due: OrderedDict[str, float] = OrderedDict()  # when all that was wrong will be forgiven
        self._lock = threading.Lock()

    def admit(self, headers: Mapping[str, str], address: str = "") -> None:
        """Let in who shows the token.

        Raises:
            AuthError: it is missing, or another one.
            UnavailableError: the same, once too often from this address.
        """
        if not same(_shown_token(headers), self._token):
            raise self.wrong(
                address,
                AuthError(
                    "the token is missing or not this plane's.",
                    hint="`anyservice plane env` prints the right one.",
                    status=401,
                ),
            )

    def wrong(self, address: str, error: ApiError) -> ApiError:
        """Count a wrong secret of whatever kind; give the error to raise: this one, or that it was once too often."""
        with self._lock:
            wait = self._count(_network(address))
        if wait <= 0:
            return error
        return UnavailableError(
            f"{error.message} There were too many wrong ones from this address.",
            hint=f"Come back in {wait} seconds.",
            status=429,
            retry_after_s=wait,
        )

    def _count(self, network: str) -> int:
        """Give the seconds until one more may be wrong; 0 if that is now, and then it is counted."""
        now = self._clock()
        due = min(max(self._due.pop(network, 0.0), now), now + AT_ONCE * FORGIVEN_S)
        wait = due + FORGIVEN_S - now - AT_ONCE * FORGIVEN_S
        self._due[network] = due if wait > _ROUNDING_S else due + FORGIVEN_S
        if len(self._due) > _MOST_ADDRESSES:
            self._due.popitem(last=False)
        return math.ceil(wait - _ROUNDING_S) if wait > _ROUNDING_S else 0


def _network(address: str) -> str:
    """Give what counts as one address: of the longer kind, a household has billions."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is None:
        return str(ipaddress.ip_network((int(found), 64), strict=False))
    return address


def _shown_token(headers: Mapping[str, str]) -> str:
    cookies = dict(part.strip().partition("=")[::2] for part in headers.get("cookie", "").split(";"))
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    return cookies.get("cli_token") or (bearer.strip() if scheme.lower() == "bearer" else "")


def same(shown: str, wanted: str) -> bool:
    """Compare two secrets in a time that tells nothing of either; an empty one is none."""
    return bool(wanted) and hmac.compare_digest(shown.encode(errors="replace"), wanted.encode())
