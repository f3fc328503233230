"""Deploys: what each client asks the server to change, field by field.

``on_purpose`` lists where ours differs, and why. A place that is listed and no longer differs fails as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from anyservice_core.testing import FakePlane
from tests.official.comparing import changes, differences
from tests.official.states import APP, V2, rolling_out, running, terminated


@dataclass(frozen=True)
class Case:
    """One deploy; ``config`` goes over an application called svc, ``files`` lie in a folder that ``{folder}`` names.

    A file whose text is an arrow and a path is a link to there.
    """

    says: str
    config: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    before: Callable[[FakePlane], None] = lambda _: None
    files: Mapping[str, str] = field(default_factory=dict)
    on_purpose: Mapping[str, str] = field(default_factory=dict)


OWN_PATH = (
    "The official client also sends the path that the user typed. It would make the same content from two machines "
    "two different configurations, and tell the server of folders that it cannot see."
)
TYPED_DIR = {"apply.body.ray_serve_config.applications.0.runtime_env.user_provided_working_dir": OWN_PATH}
TYPED_MODULES = {"apply.body.ray_serve_config.applications.0.runtime_env.user_provided_py_modules": OWN_PATH}
SECRETS = {"pkg_1.zip.body..env": "A file of secrets stays where it is unless `excludes` says `!.env`."}
KEYS = "A key stays where it is unless `excludes` brings it in by name, and its name is told."
INCLUDED = "The official client sends `-r more.txt` as it is, for a file that is not where pip runs."
ADDRESS = (
    "The official client takes the checksum of an address for a comment, so that nothing is checked any more."
)
PIP = "apply.body.ray_serve_config.applications.0.runtime_env.pip"
FILES = {"main.py": "app = 1", "lib/tool.py": "x = 1", "notes.md": "text", "data/big.bin": "0"}

CASES = [
    Case("a new service"),
    Case("an update", V2, before=running),
    Case("an update without a version name", {"applications": [{"import_path": "main:b"}]}, before=running),
    Case("a canary at 20 percent", V2, {"canary_percent": 20}, running),
    Case("a canary with a surge", V2, {"canary_percent": 0, "max_surge_percent": 50}, running),
    Case("a canary's weight by a second deploy", V2, {"canary_percent": 60}, rolling_out),
    Case("a canary for a service that is new", {}, {"canary_percent": 20}),
    Case("a restart", {}, before=terminated),
    Case("a restart with a canary", V2, {"canary_percent": 20}, terminated),
    Case("in place", V2, {"in_place": True}, running),
    Case(
        "in place keeps access, storage and tracing",
        {**V2, "env_vars": {"K": "V"}, "query_auth_token_enabled": True},
        {"in_place": True},
        lambda plane: running(
            plane,
            query_auth_token_enabled=False,
            tracing_config={"enabled": True, "exporter_import_path": "m:f", "sampling_ratio": 0.5},
            ray_gcs_external_storage_config={"enabled": True, "address": "redis:6379"},
        ),
    ),
    Case("an image", {"image_uri": "docker.io/me/img:1"}),
    Case(
        "an image of a private registry",
        {"image_uri": "docker.io/me/img:1", "registry_login_secret": "sec", "ray_version": "2.50.0"},
    ),
    Case("a containerfile", {"containerfile": "{folder}/Containerfile"}, files={"Containerfile": "FROM x\n"}),
    Case(
        "a containerfile with a Ray version",
        {"containerfile": "{folder}/Containerfile", "ray_version": "2.50.0"},
        files={"Containerfile": "FROM x\n"},
    ),
    Case("a Ray version", {"ray_version": "2.50.0"}),
    Case("a named compute config", {"compute_config": "big"}),
    Case("a version of a named compute config", {"compute_config": "big:3"}),
    Case(
        "an inline compute config",
        {
            "compute_config": {
                "head_node": {"instance_type": "m5.xlarge"},
                "worker_nodes": [{"instance_type": "m5.large", "min_nodes": 1, "max_nodes": 2}],
            }
        },
    ),
    Case("an inline compute config without workers", {"compute_config": {"worker_nodes": []}}),
    Case("an inline compute config that leaves all open", {"compute_config": {}}),
    Case(
        "an inline compute config with spot workers and labels",
        {
            "compute_config": {
                "cloud": "other",
                "zones": ["a", "b"],
                "enable_cross_zone_scaling": True,
                "max_resources": {"CPU": 100, "GPU": 2},
                "head_node": {"instance_type": "h", "resources": {"CPU": 4}, "flags": {"f": 1}},
                "worker_nodes": [
                    {"name": "w", "instance_type": "w", "market_type": "SPOT", "max_nodes": 1},
                    {"instance_type": "p", "market_type": "PREFER_SPOT", "resources": {"CPU": 1, "mine": 2}},
                ],
            }
        },
    ),
    Case("a cloud", {"cloud": "other"}),
    Case("a cloud with its compute config", {"cloud": "other", "compute_config": "far"}),
    Case("a project", {"project": "apps"}),
    Case("a project in a cloud", {"project": "apps", "cloud": "other"}),
    Case(
        "two applications",
        {
            "applications": [
                {
                    "name": "a",
                    "route_prefix": "/a",
                    "import_path": "a:app",
                    "runtime_env": {"env_vars": {"A": "1"}},
                },
                {"name": "b", "route_prefix": "/b", "import_path": "b:app", "args": {"x": [1, 2]}},
            ],
            "env_vars": {"A": "2", "B": ""},
        },
    ),
    Case("a local folder", {"working_dir": "{folder}"}, files=FILES, on_purpose=TYPED_DIR),
    Case(
        "a local folder of one of two applications",
        {
            "applications": [
                {"name": "a", "import_path": "a:app", "runtime_env": {"working_dir": "{folder}"}},
                {"name": "b", "route_prefix": "/b", "import_path": "b:app"},
            ]
        },
        files=FILES,
        on_purpose=TYPED_DIR,
    ),
    Case(
        "excludes",
        {"working_dir": "{folder}", "excludes": ["*.md", "data/"]},
        files=FILES,
        on_purpose=TYPED_DIR,
    ),
    Case(
        "what git ignores",
        {"working_dir": "{folder}"},
        files={**FILES, ".gitignore": "*.md\n", "data/.gitignore": "big.bin\n", ".git/HEAD": "x"},
        on_purpose=TYPED_DIR,
    ),
    Case(
        "a file of secrets",
        {"working_dir": "{folder}"},
        files={**FILES, ".env": "KEY=1"},
        on_purpose={**TYPED_DIR, **SECRETS},
    ),
    Case(
        "a file of secrets that is asked for",
        {"working_dir": "{folder}", "excludes": ["!.env"]},
        files={**FILES, ".env": "KEY=1"},
        on_purpose=TYPED_DIR,
    ),
    Case(
        "key files",
        {"working_dir": "{folder}"},
        files={**FILES, "certs/tls.key": "k", "id_rsa": "k", "credentials.json": "{}"},
        on_purpose={
            **TYPED_DIR,
            **{f"pkg_1.zip.body.{name}": KEYS for name in ("certs/tls.key", "id_rsa", "credentials.json")},
        },
    ),
    Case(
        "links within the folder",
        {"working_dir": "{folder}"},
        files={**FILES, "tool.py": "-> lib/tool.py", "twin": "-> lib"},
        on_purpose=TYPED_DIR,
    ),
    Case(
        "excludes that bring back",
        {"working_dir": "{folder}", "excludes": ["*.md", "*.bin", "!notes.md"]},
        files=FILES,
        on_purpose=TYPED_DIR,
    ),
    Case(
        "a folder in which all is left out",
        {"working_dir": "{folder}", "excludes": ["*.pyc"]},
        files={"a.py": "", "lib/a.pyc": "x", "lib/__pycache__/a.pyc": "x", "venv/bin/python": "x"},
        on_purpose=TYPED_DIR,
    ),
    Case(
        "a folder with an empty one in it",
        {"working_dir": "{folder}"},
        files={"a.py": "", "empty/": ""},
        on_purpose=TYPED_DIR,
    ),
    Case(
        "a folder for all over an application's own",
        {
            "applications": [{**APP, "runtime_env": {"working_dir": "elsewhere", "excludes": ["*.md"]}}],
            "working_dir": "{folder}",
            "excludes": ["data/"],
        },
        files=FILES,
        on_purpose=TYPED_DIR,
    ),
    Case(
        "a folder by URI",
        {"working_dir": "s3://bucket/app.zip", "py_modules": ["gs://b/m.zip"]},
        on_purpose={**TYPED_DIR, **TYPED_MODULES},
    ),
    Case("modules", {"py_modules": ["{folder}"]}, files={"mod.py": "x = 1"}, on_purpose=TYPED_MODULES),
    Case(
        "modules beside an application's own",
        {
            "applications": [{**APP, "runtime_env": {"py_modules": ["s3://b/own.zip"]}}],
            "py_modules": ["s3://b/shared.zip"],
        },
        on_purpose=TYPED_MODULES,
    ),
    Case("requirements in a list", {"requirements": ["numpy==1.0", "x[y]>=2"]}),
    Case(
        "requirements in a file",
        {"requirements": "{folder}/requirements.txt"},
        files={"requirements.txt": "# tools\nnumpy==1.0\n\nx[y]>=2 # why\n"},
    ),
    Case(
        "requirements with options",
        {"requirements": "{folder}/requirements.txt"},
        files={"requirements.txt": "--index-url https://pypi.test/simple\nnumpy==1.0 --hash=sha256:1\n"},
    ),
    Case(
        "requirements that include others",
        {"requirements": "{folder}/requirements.txt"},
        files={"requirements.txt": "-r more.txt\n", "more.txt": "numpy==1.0\n"},
        on_purpose={f"{PIP}.0": INCLUDED},
    ),
    Case(
        "requirements at an address with a checksum",
        {"requirements": "{folder}/requirements.txt"},
        files={"requirements.txt": "x @ https://x.test/x.zip#sha256=1\n"},
        on_purpose={f"{PIP}.0": ADDRESS},
    ),
    Case(
        "an application's own requirements in a file",
        {"applications": [{**APP, "runtime_env": {"pip": "{folder}/requirements.txt"}}]},
        files={"requirements.txt": "numpy==1.0\n"},
    ),
    Case("environment variables", {"env_vars": {"A": "1", "EMPTY": ""}}),
    Case("a Python of its own", {"py_executable": "uv run"}),
    Case("tags", {"tags": {"team": "x", "env": "p"}}),
    Case("no token to query with", {"query_auth_token_enabled": False}),
    Case(
        "options of Serve's HTTP proxy",
        {"http_options": {"request_timeout_s": 60, "keep_alive_timeout_s": 5}},
    ),
    Case("gRPC", {"grpc_options": {"service_names": ["user.Service"], "grpc_servicer_functions": ["m:f"]}}),
    Case("logging", {"logging_config": {"encoding": "JSON", "log_level": "DEBUG"}}),
    Case("where proxies run", {"proxy_location": "HeadOnly"}),
    Case("external storage", {"ray_gcs_external_storage_config": {"enabled": True, "address": "redis:6379"}}),
    Case(
        "external storage with a certificate",
        {
            "ray_gcs_external_storage_config": {
                "enabled": True,
                "address": "r:1",
                "certificate_path": "/ca.crt",
            }
        },
    ),
    Case("external storage turned off", {"ray_gcs_external_storage_config": {"enabled": False}}),
    Case(
        "tracing", {"tracing_config": {"enabled": True, "exporter_import_path": "m:f", "sampling_ratio": 0.1}}
    ),
    Case("tracing by default", {"tracing_config": {"enabled": True}}),
]


def filled(value: Any, folder: Path) -> Any:
    if isinstance(value, str):
        return value.replace("{folder}", str(folder))
    if isinstance(value, Mapping):
        return {key: filled(item, folder) for key, item in value.items()}
    return [filled(item, folder) for item in value] if isinstance(value, list | tuple) else value


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.says)
def test_a_deploy_changes_the_same(both, tmp_path, case):
    """Method, path, query and body of what changes something are equal, but for what is listed as on purpose."""
    for name, text in case.files.items():
        file = tmp_path / "app" / name
        (file if name.endswith("/") else file.parent).mkdir(parents=True, exist_ok=True)
        if text.startswith("-> "):
            file.symlink_to(text.removeprefix("-> "))
        elif not name.endswith("/"):
            file.write_text(text)
    both.prepare = case.before
    config = {"name": "svc", "applications": [APP], **filled(case.config, tmp_path / "app")}
    arguments = {"config": config, **case.options}
    theirs, ours = both.theirs("deploy", arguments), both.ours("deploy", arguments)
    assert (theirs.error, ours.error) == (None, None), f"{theirs.text} {ours.text}"
    assert changes(theirs.requests), "nothing was changed, so nothing was compared"
    found = differences(changes(theirs.requests), changes(ours.requests))
    assert set(found) == set(case.on_purpose), found
