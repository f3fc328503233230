"""Which failures are worth another try, and when: our error tree as a retry policy of Airflow's (3.3).

    RolloutOperator(..., retries=5, retry_delay=timedelta(minutes=1), retry_policy=SERVICE_RETRIES)

Without it ``retries`` do the same, save that they wait ``retry_delay`` where the server has said how long.
Errors of others are left to ``retries`` either way. On an older Airflow our operators leave the policy out.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider.compat import retry_policies
from airflow_provider.errors import AgainError
from anyservice_core import AnyserviceError

if TYPE_CHECKING:
    from airflow.sdk import RetryPolicy
    from airflow.sdk.definitions.retry_policy import RetryDecision
else:
    RetryPolicy, RetryDecision = retry_policies()

__all__ = ["SERVICE_RETRIES", "ServiceRetries"]


class ServiceRetries(RetryPolicy):
    """Fail on what trying again cannot mend; else retry, after the pause that the server asked for.

    Args:
        longest_s: seconds that a server may ask to wait; what is more is cut to this.
    """

    def __init__(self, longest_s: float = 3600.0) -> None:
        self.longest_s = longest_s

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,  # noqa: ARG002
        max_tries: int,  # noqa: ARG002
        context: Any = None,  # noqa: ARG002
    ) -> RetryDecision:
        """Decide by the error alone."""
        if not isinstance(exception, AnyserviceError | AgainError):
            return RetryDecision.default()
        if isinstance(exception, AnyserviceError) and not exception.retryable:
            return RetryDecision.fail(f"{type(exception).__name__}: trying again cannot mend it")
        asked = getattr(exception, "retry_after_s", None)
        if asked is None:
            return RetryDecision.retry(reason="it may be well at another try")
        pause = timedelta(seconds=min(asked, self.longest_s))
        return RetryDecision.retry(pause, f"the server asked to come back in {asked:g} s")

    def serialize(self) -> dict[str, Any]:
        """Give the arguments as plain values."""
        return {"longest_s": self.longest_s}

    @classmethod
    def deserialize(cls, data: Mapping[str, Any]) -> ServiceRetries:
        """Make it from what ``serialize`` gave."""
        return cls(**data)


SERVICE_RETRIES = ServiceRetries()
