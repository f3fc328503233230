from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider.errors import AgainError, failure, result_of
from airflow_provider.retries import SERVICE_RETRIES, ServiceRetries
from anyservice_core import ConfigError, RolledBackError, TransportError, UnavailableError

pytestmark = [pytest.mark.airflow, pytest.mark.needs_airflow(3, 3)]

BUSY = UnavailableError("busy", status=503, retry_after_s=90)


def decide(error, policy=SERVICE_RETRIES):
    return policy.evaluate(error, 1, 5)


@pytest.mark.parametrize(
    ("error", "action"),
    [
        (ConfigError("x"), "FAIL"),
        (RolledBackError("x"), "FAIL"),
        (TransportError("x"), "RETRY"),
        (BUSY, "RETRY"),
        (AgainError("x"), "RETRY"),
        (RuntimeError("x"), "DEFAULT"),
    ],
)
def test_our_tree_of_errors_says_whether_to_try_again(error, action):
    """What trying again cannot mend fails at once, and errors of others are left to Airflow."""
    assert decide(error).action.name == action


def test_the_server_says_when_to_come_back():
    """Its pause takes the place of the task's own, up to a bound."""
    assert decide(BUSY).retry_delay == timedelta(seconds=90)
    assert decide(BUSY, ServiceRetries(longest_s=10)).retry_delay == timedelta(seconds=10)
    assert decide(TransportError("x")).retry_delay is None


def test_the_pause_survives_the_way_from_the_triggerer():
    """An error that happened there is plain JSON on its way, and still says when to come back."""
    with pytest.raises(AgainError) as raised:
        result_of(failure(BUSY))
    assert decide(raised.value).retry_delay == timedelta(seconds=90)

    with pytest.raises(AirflowFailException):
        result_of(failure(RolledBackError("x")))


def test_the_policy_is_its_arguments():
    """It can be written down and read again."""
    assert ServiceRetries.deserialize(ServiceRetries(7).serialize()).longest_s == 7
