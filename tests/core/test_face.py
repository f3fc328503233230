from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import json
import pkgutil
import subprocess
import sys

import pytest

import anyservice_core
from anyservice_core import Client, service


def test_every_public_name_can_be_had():
    """And is what it says."""
    for name in anyservice_core.__all__:
        assert getattr(anyservice_core, name) is not None
    assert anyservice_core.__version__ == importlib.metadata.version("anyservice")


def test_the_names_of_dir_are_the_public_ones():
    """No more, no less."""
    assert dir(anyservice_core) == sorted(anyservice_core.__all__)


def test_an_unknown_name_is_an_ordinary_error():
    """As of any module."""
    with pytest.raises(AttributeError, match="'Clint'"):
        _ = anyservice_core.Clint


def loaded(code: str, *heavy: str) -> list[str]:
    """Which of these modules a fresh Python has after this code."""
    tell = f"import json, sys; print(json.dumps([name for name in {heavy!r} if name in sys.modules]))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{tell}"], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_importing_is_cheap():
    """Nothing heavy is loaded before it is needed, neither by the package nor by the command's help."""
    code = """
import anyservice_core, anyservice_core.cli
try:
    anyservice_core.cli.root.main(["--help"])
except SystemExit:
    pass
"""
    assert loaded(code, "httpx", "pydantic", "ray", "yaml", "anyio") == []


def test_a_status_on_the_command_line_needs_no_models():
    """Building them would take longer than all the rest."""
    code = """
import functools, json, httpx, anyservice_core.cli
from anyservice_core import Client
service = {"id": "service2_1", "name": "svc", "current_state": "RUNNING"}
answer = lambda _: httpx.Response(200, json={"results": [service], "metadata": {}})
make = functools.partial(Client, token="aph0_x", transport=httpx.MockTransport(answer))
try:
    anyservice_core.cli.root.main(["status", "svc", "--host", "http://plane.test"], obj=make)
except SystemExit as end:
    assert end.code == 0
"""
    assert loaded(code, "yaml", "pydantic", "anyio", "concurrent.futures.thread") == []


def test_an_async_client_is_loaded_whole():
    """An event loop shall not stand still while its first call loads what it takes."""
    code = "from anyservice_core import AsyncClient"
    assert loaded(code, "anyservice_core.operations.deploying", "pydantic") == [
        "anyservice_core.operations.deploying",
        "pydantic",
    ]


def test_module_functions_are_the_client_s_methods():
    """Same names, same parameters, same words."""
    for name in service.__all__:
        function, method = getattr(service, name), getattr(Client, name).function
        assert inspect.signature(function) == inspect.signature(method)
        assert function.__doc__ == method.__doc__


def test_the_eight_operations_take_the_reference_s_parameters():
    """By the reference's names, so that a call can be moved over as it stands."""
    shared = {"name", "cloud", "project"}
    reference = {
        "list": shared
        | {"service_id", "state_filter", "creator_id", "include_archived", "max_items", "page_size"}
        | {"sort_field", "sort_order"},
        "deploy": {"config", "in_place", "canary_percent", "max_surge_percent"},
        "status": shared,
        "wait": shared | {"state", "timeout_s"},
        "rollback": shared | {"max_surge_percent"},
        "terminate": shared | {"id"},
        "archive": shared | {"id"},
        "delete": shared | {"id"},
    }
    for name, wanted in reference.items():
        assert wanted <= set(inspect.signature(getattr(service, name)).parameters)


def test_module_functions_use_the_environment(monkeypatch):
    """Of the moment they are called."""
    monkeypatch.setenv("ANYSERVICE_HOST", "nonsense")
    with pytest.raises(anyservice_core.ConfigError, match="nonsense"):
        service.status("recommender")


@pytest.mark.parametrize("room", ["models", "operations"])
def test_what_a_module_offers_exists(room):
    """Every name in an ``__all__``."""
    package = importlib.import_module(f"anyservice_core.{room}")
    for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        module = importlib.import_module(found.name)
        for name in module.__all__:
            assert hasattr(module, name), f"{found.name}.{name}"
