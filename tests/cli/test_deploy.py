from __future__ import annotations

import json


def test_flags_go_over_the_file(run, config, plane):
    """Single values replace, variables and patterns are added."""
    from anyservice_core.cli.deploy import _config

    none = dict.fromkeys(("name", "image_uri", "requirements", "working_dir"))
    given = none | {"env": ("B=3", "C="), "tags": ("team=x",), "excludes": ("*.log",), "py_modules": ()}
    merged = _config(str(config), None, (), given | {"name": "other"})
    assert merged.name == "other"
    assert merged.env_vars == {"A": "1", "B": "3", "C": ""}
    assert merged.excludes == ["*.bin", "*.log"]
    assert merged.tags == {"team": "x"}
    assert merged.working_dir is not None


def test_an_import_path_is_enough(run, plane):
    """With a name; arguments go to the application."""
    result = run("deploy", "main:app", "-n", "recommender", "-j", "size=large", "url=a=b")
    made = json.loads(result.stdout)
    assert made["service_name"] == "recommender"
    primary = plane.client().status("recommender").primary_version
    assert primary.config.applications == [
        {"import_path": "main:app", "args": {"size": "large", "url": "a=b"}}
    ]


def test_a_deploy_as_json_names_its_version(run, config):
    """For scripts."""
    made = json.loads(run("deploy", "-f", str(config), "--version-name", "v1", "-j").stdout)
    assert set(made) == {"id", "service_name", "version_id", "version_name", "query_url", "console_url"}
    assert made["version_name"] == "v1"


def test_a_folder_is_uploaded_once(run, config, plane):
    """Unchanged, it is only named."""
    run("deploy", "-f", str(config), "--version-name", "v1")
    again = run("deploy", "-f", str(config), "--version-name", "v2")
    assert "nothing to upload" in again.stderr
    assert len([line for line in plane.requests if line.startswith("PUT /plane/v1/bundles")]) == 1
