"""What Airflow finds of the provider, by its own means."""

from __future__ import annotations

import importlib
import json

import jsonschema
import pytest
from airflow.configuration import conf
from airflow.providers.common.compat.sdk import DAG, task
from airflow.providers_manager import ProvidersManager

from airflow_provider import get_provider_info
from airflow_provider.compat import VERSION

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(60)]


@pytest.mark.filterwarnings("ignore:ProvidersManager")  # it moves to the task SDK, piece by piece
def test_airflow_finds_all_that_the_provider_brings():
    """Connection, links, notifier, decorator and assets are read from an entry point, without importing any of them."""
    manager = ProvidersManager()
    manager.initialize_providers_configuration()

    assert manager.hooks["anyservice"].connection_testable
    assert {"airflow_provider.links.ServiceLink", "airflow_provider.links.ReportLink"} <= set(
        manager.extra_links_class_names
    )
    assert any("RollbackNotifier" in str(notifier) for notifier in manager.notification)
    assert "anyservice" in getattr(manager, f"{'asset' if VERSION >= (3,) else 'dataset'}_uri_handlers")
    assert conf.getboolean("anyservice", "deferrable")
    assert (conf.getfloat("anyservice", "poll_interval_s"), conf.get("anyservice", "on_kill")) == (
        5.0,
        "leave",
    )


def test_every_airflow_has_the_form_of_the_connection():
    """An older one asks the hook for its fields, and is given those of the description."""
    pytest.importorskip("flask_appbuilder", reason="Airflow 3 draws the form by itself")
    from airflow_provider.hooks import ServiceHook

    kind = get_provider_info()["connection-types"][0]
    widgets = ServiceHook.get_connection_form_widgets()

    assert widgets.keys() == kind["conn-fields"].keys()
    assert {widget.field_class.__name__ for widget in widgets.values()} == {"BooleanField", "StringField"}
    assert (
        ServiceHook.get_ui_field_behaviour()["hidden_fields"] == kind["ui-field-behaviour"]["hidden-fields"]
    )


def test_the_decorator_is_one_of_airflows():
    """`@task.canary_check` is there because the provider says so, and its task is a task like any other."""
    with DAG("a_dag", schedule=None) as dag:

        @task.canary_check(service="recommender")
        def fine(canary):
            return bool(canary)

        fine()

    assert dag.get_task("fine").service == "recommender"


def test_what_the_provider_says_of_itself_is_true():
    """Each class that it names can be imported, and the whole is what Airflow's schema asks for."""
    info = get_provider_info()
    named = [
        *info["extra-links"],
        *info["notifications"],
        *(one["class-name"] for one in info["task-decorators"]),
        *(one["handler"] for one in info["asset-uris"]),
        *(one["hook-class-name"] for one in info["connection-types"]),
    ]
    for path in named:
        module, _, name = path.rpartition(".")
        assert hasattr(importlib.import_module(module), name), path
    schema = importlib.resources.files("airflow").joinpath("provider_info.schema.json").read_text()
    jsonschema.validate(info, json.loads(schema))
