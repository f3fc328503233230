"""Uploads: kept while a service names them or somebody asked of late, and gone with their copies afterwards."""

from __future__ import annotations

import os
import time
import zipfile

import pytest

from anyservice_core.plane.addresses import bundles_of
from anyservice_core.plane.bundles import KEEP_S, Bundles
from tests.plane.api import apply


@pytest.fixture
def bundles(tmp_path) -> Bundles:
    return Bundles(tmp_path, key="key")


def keep(bundles: Bundles, name: str, *, age_s: float = 0.0) -> str:
    """Upload a folder of one file, so long ago, and give its URI."""
    draft = bundles.draft()
    with zipfile.ZipFile(draft, "w") as archive:
        archive.writestr("app/main.py", f"app = {name!r}")
    bundles.keep(name, draft)
    path = bundles._zips / name
    os.utime(path, (time.time() - age_s, time.time() - age_s))
    return bundles.uri(name)


def served(*uris: str) -> dict:
    return {
        "applications": [
            {"import_path": "main:app", "route_prefix": f"/{number}", "runtime_env": {"working_dir": uri}}
            for number, uri in enumerate(uris)
        ]
    }


def age(folder) -> None:
    os.utime(folder, (1.0, 1.0))


def test_old_uploads_that_no_service_names_are_collected(bundles):
    """Age alone is no reason, nor is having no service; both together are, and the copy goes too."""
    used, fresh, idle = (keep(bundles, f"{n}.zip", age_s=a) for n, a in (("a", 1e6), ("b", 0), ("c", 1e6)))
    copies = [bundles.directory(uri).parent for uri in (used, fresh, idle)]
    for old in (*copies, bundles._zips / "a.zip", bundles._zips / "c.zip"):
        age(old)
    assert bundles.collect([used]) == ["c.zip"]
    assert [copy.exists() for copy in copies] == [True, True, False]
    assert [bundles.has(name) for name in ("a.zip", "b.zip", "c.zip")] == [True, True, False]


def test_whoever_asks_for_an_upload_may_still_deploy_it(bundles):
    """Between the question whether it is there and the deploy nothing is collected, and no copy is named anew."""
    uri = keep(bundles, "a.zip", age_s=2 * KEEP_S)
    copy = bundles.directory(uri)
    assert bundles.has("a.zip")
    assert bundles.collect([]) == []
    assert bundles.directory(uri) == copy


def test_the_copy_that_a_host_runs_from_outlives_another_upload_of_that_name(bundles):
    """While a service names a bundle, none of its copies is removed."""
    uri = keep(bundles, "a.zip", age_s=2e6)
    copy = bundles.directory(uri)
    keep(bundles, "a.zip", age_s=1e6)
    age(copy.parent)
    bundles.collect([uri])
    assert copy.is_dir()


def test_broken_uploads_are_collected(bundles):
    """What a dead plane left half written does not stay for ever."""
    draft = bundles.draft()
    age(draft)
    bundles.collect([])
    assert not draft.exists()


def test_what_is_no_bundle_is_left_alone(bundles, tmp_path):
    """A folder of the user's is never removed, whatever a URI says."""
    mine = tmp_path / "mine"
    mine.mkdir()
    bundles.forget(
        [f"file://{mine}", "anyservice://bundles/../mine", "anyservice://bundles/nothing.zip", "x"]
    )
    assert mine.is_dir()


def test_all_directories_of_a_version_are_known():
    """Working directories and modules of every application count."""
    serve = served("anyservice://bundles/a.zip", "file:///b")
    serve["applications"][0]["runtime_env"]["py_modules"] = ["anyservice://bundles/c.zip"]
    serve["applications"].append({"import_path": "main:app"})
    found = bundles_of({"ray_serve_config": serve})
    assert found == {"anyservice://bundles/a.zip", "file:///b", "anyservice://bundles/c.zip"}


def test_deleting_a_service_removes_what_only_it_used(plane, http):
    """Both versions' uploads go, but one that another service runs stays, and so does the user's own folder."""
    uris = [keep(plane.bundles, f"{name}.zip") for name in ("own", "shared", "canary")]
    path = f"/api/v2/services-v2/{apply(http, ray_serve_config=served(*uris[:2])).json()['result']['id']}"
    apply(http, name="other", ray_serve_config=served(uris[1]))
    plane.advance(10)
    http.post(f"{path}/terminate")
    plane.advance(60)
    assert http.delete(path).status_code == 204
    there = [plane.bundles.has(f"{name}.zip") for name in ("own", "shared", "canary")]
    assert there == [False, True, True]


def test_the_loop_collects_now_and_then(plane, http):
    """What a rolled back canary was made of goes after a day; what runs stays however old it is."""
    uris = [keep(plane.bundles, f"{name}.zip") for name in ("v1", "v2")]
    path = f"/api/v2/services-v2/{apply(http, ray_serve_config=served(uris[0])).json()['result']['id']}"
    plane.advance(10)
    apply(http, version="v2", canary_percent=10, ray_serve_config=served(uris[1]))
    plane.advance(10)
    http.post(f"{path}/rollback")
    plane.advance(60)
    for name in ("v1", "v2"):
        age(plane.bundles._zips / f"{name}.zip")
    plane.advance(4000)
    assert [plane.bundles.has(f"{name}.zip") for name in ("v1", "v2")] == [True, False]
