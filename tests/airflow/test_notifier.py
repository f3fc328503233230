from __future__ import annotations

import asyncio

import pytest
from airflow.providers.common.compat.sdk import DAG

from airflow_provider.notifier import RollbackNotifier

pytestmark = pytest.mark.airflow

IN_THE_TRIGGERER = pytest.param("in the triggerer", marks=pytest.mark.needs_airflow(3, 1))
BOTH_WAYS = pytest.mark.parametrize("how", ["as a callback", IN_THE_TRIGGERER])


def notify(airflow, how, **options):
    notifier = RollbackNotifier(service="{{ params.service }}", **options)
    notifier.hook_class = airflow.hook_class
    context = {**airflow.context, "params": {"service": "recommender"}, "dag": DAG("a_dag", schedule=None)}
    if how == "as a callback":
        return notifier(context)
    notifier.context = context
    return asyncio.run(awaited(notifier))


async def awaited(notifier):
    await notifier


@pytest.fixture
def canary(serving, config):
    with serving.client() as client:
        client.deploy(config.options(version_name="v2"), canary_percent=10)
        client.wait("recommender", version="v2", canary_weight=10)
    return serving


@BOTH_WAYS
def test_the_canary_is_taken_back(airflow, canary, how):
    """A failure callback runs in the worker or the DAG processor, a deadline's in the triggerer: both do the same."""
    notify(airflow, how)
    canary.advance(60)

    assert canary.service("recommender").canary is None
    assert canary.service("recommender").primary.name == "v1"


@BOTH_WAYS
def test_only_the_version_that_was_named(airflow, canary, how, caplog):
    """A callback that comes late must not take the next rollout back."""
    with caplog.at_level("INFO"):
        notify(airflow, how, version="v1.9")

    assert canary.service("recommender").canary.name == "v2"
    assert "is there to take back" in caplog.text
