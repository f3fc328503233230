from __future__ import annotations

import json

import pytest
from airflow.providers.common.compat.sdk import DAG

from airflow_provider.hiding import shown
from airflow_provider.operators import DeployOperator

pytestmark = pytest.mark.airflow

SECRET = "s3cr3t-of-the-user"
CONFIG = {
    "name": "recommender",
    "version_name": "{{ run_id }}",
    "applications": [
        {"import_path": "main:app", "runtime_env": {"env_vars": {"KEY": SECRET}}, "args": {"api_key": SECRET}}
    ],
    "env_vars": {"TOKEN": SECRET, "RUN": "{{ run_id }}"},
    "query_auth_token_enabled": False,
}


def test_what_people_see_of_a_config_holds_no_secret(config):
    """Values of environment variables, and what is called a secret, are hidden; the rest is as it was."""
    seen = shown(CONFIG)

    assert SECRET not in json.dumps(seen)
    assert seen["env_vars"] == {"TOKEN": "***", "RUN": "***"}
    assert seen["query_auth_token_enabled"] is False
    assert seen["name"] == "recommender"
    assert SECRET not in json.dumps(shown(config.options(env_vars={"TOKEN": SECRET})))
    assert shown("service.yaml") == "service.yaml"


def test_the_rendered_field_is_for_people_and_the_task_has_the_values(airflow, serving, serialised):
    """Airflow writes rendered fields and DAGs into its database: both hold what may be seen, and the deploy is whole."""
    with DAG("a_dag", schedule=None) as dag:
        task = DeployOperator(task_id="deploy", config=CONFIG, poll_interval_s=2)
    stored = json.dumps(serialised.to_dict(dag))
    airflow.run(task)

    assert task.config["version_name"] == "manual__1"
    assert SECRET not in json.dumps(task.config)
    assert SECRET not in stored
    assert serving.service("recommender").primary.name == "manual__1"
    with serving.client() as client:
        deployed = client.status("recommender").primary_version.config
    values = deployed.applications[0]["runtime_env"]["env_vars"]
    assert values == {"KEY": SECRET, "TOKEN": SECRET, "RUN": "manual__1"}
