"""A plane in one file: whole, private, and put back over nothing that anybody may still need."""

from __future__ import annotations

import json
import sqlite3
import stat
import zipfile
from contextlib import closing

import pytest

from anyservice_core.errors import PlaneError
from anyservice_core.models.enums import ServiceState as S
from anyservice_core.plane.backup import backup, restore
from anyservice_core.plane.changes import Birth, deploy
from anyservice_core.plane.daemon import only_one
from anyservice_core.plane.store import Event, Store
from tests.plane.world import apply

MADE_OF = {
    "applications": [
        {"import_path": "main:app", "runtime_env": {"working_dir": "anyservice://bundles/used.zip"}}
    ]
}
OUTSIDE = {"applications": [{"import_path": "main:app", "runtime_env": {"working_dir": "file:///srv/app"}}]}


def service(name: str, port: int, **more):
    born = deploy(None, apply("v1", **more), Birth(1000.0, "process", "cld", "prj", lambda: port))
    return born.replace(name=name, state=S.RUNNING, auth_token="query-token")


@pytest.fixture
def state(tmp_path):
    """The folder of a plane with two services, of an upload that one is made of, and of one that nobody needs."""
    folder = tmp_path / "state"
    with closing(Store(folder / "plane.db")) as store:
        one, two = service("one", 8700, serve=MADE_OF), service("two", 8701, serve=OUTSIDE)
        for each in (one, two):
            store.save(each)
        store.note(Event(one.id, 1.0, "state", "it began"))
        store.save_traffic(one.id, {"v": {"requests": 7}})
    (folder / "token").write_text("aph0_secret")
    (folder / "bundles").mkdir()
    for name in ("used.zip", "unused.zip"):
        with zipfile.ZipFile(folder / "bundles" / name, "w") as bundle:
            bundle.writestr("main.py", name)
    return folder


@pytest.fixture
def saved(state, tmp_path):
    backup(state, tmp_path / "plane.backup")
    return tmp_path / "plane.backup"


def services(folder):
    with closing(Store(folder / "plane.db")) as store:
        return store.services()


def test_what_was_saved_is_restored(state, saved, tmp_path):
    """Services, events, totals, the token and the uploads that are needed, all as they were."""
    found = restore(saved, tmp_path / "new")
    assert found.urls == {"one": "http://127.0.0.1:8700", "two": "http://127.0.0.1:8701"}
    assert (found.bundles, found.outside, found.aside) == (1, ("file:///srv/app",), None)
    assert services(tmp_path / "new") == services(state)
    with closing(Store(tmp_path / "new" / "plane.db")) as store:
        id = store.services()[0].id
        assert [event.message for event in store.events(id)] == ["it began"]
        assert store.traffic(id) == {"v": {"requests": 7}}
    assert (tmp_path / "new" / "token").read_text() == "aph0_secret"
    assert [path.name for path in (tmp_path / "new" / "bundles").iterdir()] == ["used.zip"]


def test_a_backup_is_for_its_owner_alone(saved, tmp_path):
    """And so is all that is restored from it, since there are tokens in it."""
    restore(saved, tmp_path / "new")
    files = [
        saved,
        *(path for path in (tmp_path / "new").rglob("*") if path.is_file() and path.name != "plane.lock"),
    ]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_nothing_lies_about_afterwards(state, saved, tmp_path):
    """No draft beside the file, none in the folders."""
    restore(saved, tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "plane.backup", "state"]
    left = {path.name for path in (tmp_path / "new").iterdir()}
    assert left == {"bundles", "plane.db", "plane.lock", "token"}


def test_a_plane_that_writes_is_saved_as_of_the_last_commit(state, tmp_path):
    """A backup waits for nobody and takes no half of a change."""
    with closing(Store(state / "plane.db")) as store:
        one = store.services()[0]
        with store.transaction():
            store.save(one.replace(state=S.TERMINATING))
            backup(state, tmp_path / "plane.backup")
    restore(tmp_path / "plane.backup", tmp_path / "new")
    assert services(tmp_path / "new")[0].state is S.RUNNING


def test_a_file_that_is_there_is_kept_unless_told(state, saved):
    """The name of another backup may have been typed by mistake."""
    before = saved.read_bytes()
    with pytest.raises(PlaneError, match="--overwrite"):
        backup(state, saved)
    assert saved.read_bytes() == before
    backup(state, saved, overwrite=True)
    assert zipfile.is_zipfile(saved)


def test_where_no_plane_was_there_is_nothing_to_save(tmp_path):
    """Looking for it makes none."""
    with pytest.raises(PlaneError, match="ANYSERVICE_STATE_DIR"):
        backup(tmp_path / "state", tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_services_that_are_there_are_not_restored_over(state, saved):
    """Unless told; then they are put aside, with their uploads and token."""
    (state / "token").write_text("aph0_other")
    with pytest.raises(PlaneError, match=r"2 service\(s\) \(one, two\) already.*--replace"):
        restore(saved, state)
    found = restore(saved, state, replace=True)
    assert (state / "token").read_text() == "aph0_secret"
    assert (found.aside / "token").read_text() == "aph0_other"
    assert (found.aside / "bundles" / "unused.zip").exists()
    assert [service.name for service in services(found.aside)] == ["one", "two"]


def test_a_plane_without_services_may_be_restored_over(saved, tmp_path):
    """Somebody started one before thinking of the backup: its token is put aside all the same."""
    Store(tmp_path / "new" / "plane.db").close()
    (tmp_path / "new" / "token").write_text("aph0_fresh")
    found = restore(saved, tmp_path / "new")
    assert (found.aside / "token").read_text() == "aph0_fresh"
    assert len(services(tmp_path / "new")) == 2


def test_a_living_plane_is_not_restored_over(saved, tmp_path):
    """Whoever holds the lock is named; --replace does not help."""
    folder = tmp_path / "new"
    folder.mkdir()
    with only_one(folder), pytest.raises(PlaneError, match=r"already running on .*\(pid \d+\).*plane down"):
        restore(saved, folder, replace=True)


def test_what_an_earlier_plane_left_running_is_stopped_first(saved, tmp_path):
    """Its hosts would be strangers to what is restored."""
    host = tmp_path / "new" / "hosts" / "srv_x"
    host.mkdir(parents=True)
    (host / "host.json").write_text('{"engine": "process"}')
    with pytest.raises(PlaneError, match=r"1 version\(s\) of an earlier plane.*plane down"):
        restore(saved, tmp_path / "new", replace=True)


def test_another_token_for_the_plane(saved, tmp_path):
    """The saved one may be known to others; services keep theirs."""
    restore(saved, tmp_path / "new", new_token=True)
    assert not (tmp_path / "new" / "token").exists()
    assert services(tmp_path / "new")[0].auth_token == "query-token"


def rewritten(saved, **changes):
    """A backup with some of its members changed; ``None`` takes one out."""
    with zipfile.ZipFile(saved) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    content = {name: data for name, data in (content | changes).items() if data is not None}
    with zipfile.ZipFile(saved, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)


def manifest(saved, **changes):
    with zipfile.ZipFile(saved) as archive:
        return json.dumps(json.loads(archive.read("manifest.json")) | changes)


def refused(saved, folder, match):
    """It is refused for this reason, and nothing was made of it."""
    with pytest.raises(PlaneError, match=match):
        restore(saved, folder)
    assert {path.name for path in folder.iterdir()} <= {"plane.lock"}


def test_a_file_that_was_cut_short_is_refused(saved, tmp_path):
    """A copy that broke off is no backup."""
    saved.write_bytes(saved.read_bytes()[:-200])
    refused(saved, tmp_path / "new", "no whole backup")


def test_a_file_in_which_a_bit_fell_is_refused(saved, tmp_path):
    """Each file in it is compared with what was saved."""
    rewritten(saved, token=b"aph0_secreT")
    refused(saved, tmp_path / "new", "token is not what was saved")


def test_a_file_without_its_database_is_refused(saved, tmp_path):
    """Whoever unpacked and packed it may have left something out."""
    rewritten(saved, **{"plane.db": None})
    refused(saved, tmp_path / "new", "no whole backup")


def test_a_later_format_is_refused(saved, tmp_path):
    """An older program does not guess."""
    rewritten(saved, **{"manifest.json": manifest(saved, format=99)})
    refused(saved, tmp_path / "new", "newer anyservice.*Upgrade")


def test_names_that_lead_elsewhere_are_not_written(saved, tmp_path):
    """Only what a backup has is taken from it, whatever its list says."""
    with zipfile.ZipFile(saved) as archive:
        files = json.loads(archive.read("manifest.json"))["files"]
    evil = {"../evil": "0", "bundles/../../evil.zip": "0", "hosts/x/host.json": "0"}
    rewritten(saved, **{"manifest.json": manifest(saved, files=files | evil)}, **dict.fromkeys(evil, b"evil"))
    restore(saved, tmp_path / "new")
    assert not list(tmp_path.rglob("*evil*"))
    assert not (tmp_path / "new" / "hosts").exists()


def test_what_is_not_there_or_no_backup_is_said_so(tmp_path):
    """Each with the file's name."""
    refused(tmp_path / "nothing", tmp_path / "new", "no file .*nothing")
    (tmp_path / "text").write_text("text")
    refused(tmp_path / "text", tmp_path / "new", "text is no whole backup")


def test_a_database_of_an_earlier_schema_is_carried_over(state, tmp_path):
    """A backup of an older release is restored by a newer one."""
    from tests.plane.test_store import FIRST

    (state / "plane.db").unlink()
    one = service("one", 8700)
    with closing(sqlite3.connect(state / "plane.db")) as file, file:
        file.executescript(FIRST)
        row = (one.id, one.name, one.project_id, one.state, 0, 8700, one.model_dump_json())
        file.execute("INSERT INTO services VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    backup(state, tmp_path / "plane.backup")
    restore(tmp_path / "plane.backup", tmp_path / "new")
    assert services(tmp_path / "new") == [one]
