"""What is local goes to the storage, step by step: walked, hashed, asked for by name, and only then packed and sent."""

from __future__ import annotations

import random

import httpx
import pytest

from anyservice_core import Client, ServiceConfig
from anyservice_core.bundle import Bundling, Done, Hashed, LeftOut, Member, Tree
from anyservice_core.effects import Call, Upload
from anyservice_core.errors import ConfigError, RejectedError, TransportError
from anyservice_core.operations.bundles import upload_all
from anyservice_core.testing import HOST, TOKEN, FakePlane

CONFIG = ServiceConfig(name="recommender", applications=[{"import_path": "main:app"}])
LOCAL = CONFIG.options(working_dir="app")
TREE = Tree("working_dir", "app", "/home/app", "app", (Member("main.py", 12_000),))
LOOKED_AT = (TREE, Done(Hashed(TREE, (b"",), "pkg_1.zip")))


class Zip:
    """Stands for an archive, and counts how often it is let go."""

    size = 4_000
    closed = 0

    def chunks(self):
        return iter([b"zip"])

    def close(self):
        self.closed += 1


@pytest.fixture
def place(shapes):
    """The answer to where a bundle may go."""

    def answer(**fields):
        wire = {"file_uri": "s3://b/pkg_1.zip", "url": "http://store.test/pkg_1.zip?sig=secret"}
        return shapes.result({**wire, **fields})

    return answer


def uploads(talk):
    return [effect for effect in talk.effects if isinstance(effect, Upload)]


def walks(talk):
    """The folders that were walked, each with its patterns and whether it is a module."""
    return [effect.args for effect in talk.effects if isinstance(effect, Call) and len(effect.args) == 3]


def test_a_folder_is_sent_to_the_place_that_its_name_has(hold, shapes, place):
    """And the config names it in its place."""
    archive = Zip()
    talk = hold(upload_all(LOCAL, "cld_1"), *LOOKED_AT, place(), Done(archive), shapes.reply(status=200))
    assert talk.result.working_dir == "s3://b/pkg_1.zip"
    assert talk.lines == ["POST /api/v2/clouds/cld_1/generate_cloud_data_bucket_presigned_url"]
    wanted = {"file_name": "pkg_1.zip", "file_type": "runtime_env_packages", "access_mode": "WRITE"}
    assert talk.requests[0].json == wanted
    assert uploads(talk)[0].content is archive
    assert archive.closed == 1
    assert talk.reports == ["folder 'app' uploaded, 4.0 kB"]


def test_what_the_storage_has_is_neither_packed_nor_sent(hold, place):
    """The name is the content."""
    talk = hold(upload_all(LOCAL, "cld_1"), *LOOKED_AT, place(file_exists=True))
    assert talk.result.working_dir == "s3://b/pkg_1.zip"
    assert talk.reports == ["folder 'app' is unchanged, nothing to upload"]


@pytest.mark.parametrize(
    ("known", "said"), [(False, "would be uploaded, 12.0 kB"), (True, "is unchanged, nothing to upload")]
)
def test_where_a_folder_would_go_is_known_without_packing_it(hold, place, known, said):
    """A dry run's config is the real one's, and the storage has nothing that it had not before."""
    talk = hold(upload_all(LOCAL, "cld_1", upload=False), *LOOKED_AT, place(file_exists=known))
    assert talk.result.working_dir == "s3://b/pkg_1.zip"
    assert talk.reports == [f"folder 'app' {said}"]


def test_what_stays_out_and_how_far_it_is_are_told(hold, shapes, place):
    """In the order in which they are known."""
    tree = Tree(
        "working_dir", "app", "/home/app", "app", (), (LeftOut("app", (".env",), "a secret", "Ask."),)
    )
    hashed, archive = Hashed(tree, (), "pkg_1.zip"), Zip()
    reading, packing = (Bundling(doing, "app", 50, 1_000_000, 3) for doing in ("reading", "packing"))
    answers = (tree, reading, Done(hashed), place(), packing, Done(archive), shapes.reply())
    talk = hold(upload_all(LOCAL, "cld_1"), *answers)
    assert talk.reports[:-1] == [
        "folder 'app' goes without .env: a secret. Ask.",
        "reading 'app': 50% of 1.0 MB in 3 files",
        "packing 'app': 50% of 1.0 MB in 3 files",
    ]


def test_an_upload_that_fails_is_repeated(hold, shapes, place):
    """Sending the same content to the same name twice does no harm; it is packed once."""
    trouble = [TransportError("dropped"), shapes.error(503)]
    talk = hold(upload_all(LOCAL, "cld_1"), *LOOKED_AT, place(), Done(Zip()), *trouble, shapes.reply())
    assert len(uploads(talk)) == 3


def test_a_failed_upload_leaves_no_zip_and_no_secret(talk, shapes, place):
    """The signature of its URL is in no message."""
    archive = Zip()
    answers = [*LOOKED_AT, place(), Done(archive), shapes.reply(status=403)]
    with pytest.raises(RejectedError, match="HTTP 403 from PUT http://store.test/pkg_1.zip") as caught:
        talk.hold(upload_all(LOCAL, "cld_1"), answers)
    assert archive.closed == 1
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(uploads(talk))


def test_an_address_with_a_signature_is_in_no_log(plane, app, caplog):
    """httpx tells of each request, and whoever logs at INFO would have the keys to the uploads in the log."""
    caplog.set_level("INFO", "httpx")
    with plane.client() as client:
        client.deploy(
            ServiceConfig(name="svc", applications=[{"import_path": "main:app"}], working_dir=str(app))
        )

    assert ".zip?***" in caplog.text
    assert "signature" not in caplog.text
    assert "?name=svc" in caplog.text


def test_a_storage_that_is_not_asked_by_http_is_said_so_before_anything_is_packed(talk, place):
    """Better than a PUT to a URL that is not one."""
    with pytest.raises(ConfigError, match="smart_open"):
        talk.hold(upload_all(LOCAL, "cld_1"), [*LOOKED_AT, place(url_scheme="smart_open")])


# ── with a plane ──


@pytest.fixture
def plane():
    with FakePlane() as one:
        yield one


@pytest.fixture
def app(tmp_path):
    (tmp_path / "main.py").write_text("app = 1")
    (tmp_path / "weights.bin").write_bytes(random.Random(1).randbytes(100_000))
    return tmp_path


def before_the_upload(plane, act):
    """A client of ``plane`` with which something happens when a bundle has its name and no upload has begun."""

    def handle(request: httpx.Request) -> httpx.Response:
        if "presigned" in request.url.path:
            act()
        return plane.transport.handler(request)

    return Client(HOST, TOKEN, transport=httpx.MockTransport(handle))


@pytest.mark.parametrize("name", ["main.py", "weights.bin"])
def test_what_changed_since_it_got_its_name_is_not_stored_under_it(plane, app, name):
    """Neither what is packed nor what is sent from where it lies; the next deploy sends it under its own."""
    config = CONFIG.options(working_dir=str(app))
    file = app / name

    def change():
        file.write_bytes(bytes(reversed(file.read_bytes())))

    with (
        before_the_upload(plane, change) as client,
        pytest.raises(ConfigError, match=f"working_dir: {name} changed while it was being packed"),
    ):
        client.prepare(config)
    with plane.client() as client:
        uri = client.prepare(config).working_dir
    stored = [request for request in plane.requests if request.startswith("PUT /plane/v1/bundles")]
    assert stored == [f"PUT /plane/v1/bundles/{uri.rpartition('/')[2]}"]


def test_what_arrives_is_the_folder(plane, app):
    """Unpacked on the other side, byte for byte."""
    with plane.client() as client:
        uri = client.prepare(CONFIG.options(working_dir=str(app))).working_dir
    there = plane.bundles.directory(uri)
    assert {file.name: file.read_bytes() for file in there.iterdir()} == {
        file.name: file.read_bytes() for file in app.iterdir()
    }


# ── what of a config is local ──


def test_only_what_counts_is_uploaded(hold, shapes, place):
    """What a field for all overrides is not looked at, and a URI stays what it is."""
    config = LOCAL.options(
        applications=[
            {"import_path": "main:app", "runtime_env": {"working_dir": "old", "pip": ["a"]}},
            {"import_path": "main:b", "runtime_env": {"working_dir": "s3://b/other.zip"}},
        ],
    )
    talk = hold(upload_all(config, "cld_1"), *LOOKED_AT, place(), Done(Zip()), shapes.reply())
    assert walks(talk) == [("app", (), False)]
    assert [a["runtime_env"] for a in talk.result.applications] == [{"pip": ["a"]}, {}]


@pytest.mark.parametrize("uri", ["s3://b/x.zip", "gs://b/x.zip", "https://h/x.zip", "abfss://c@a/x.zip"])
def test_uris_pass_unchanged(hold, uri):
    """Nothing is asked for them, whatever their scheme."""
    config = CONFIG.options(working_dir=uri, py_modules=[uri])
    talk = hold(upload_all(config, "cld_1"))
    assert talk.effects == []
    assert (talk.result.working_dir, talk.result.py_modules) == (uri, [uri])


def test_modules_requirements_and_excludes_go_along(hold, place):
    """All that is local is resolved, with the user's patterns."""
    config = CONFIG.options(py_modules=["lib"], requirements="requirements.txt", excludes=["*.bin"])
    talk = hold(upload_all(config, "cld_1"), ["numpy==2"], *LOOKED_AT, place(file_exists=True))
    assert walks(talk) == [("lib", ("*.bin",), True)]
    assert talk.result.py_modules == ["s3://b/pkg_1.zip"]
    assert talk.result.requirements == ["numpy==2"]


def test_an_application_s_own_folder_and_requirements_are_sent(hold, place):
    """Where the config says nothing for all, each application's own environment is resolved, a folder once."""
    own = {"working_dir": "app", "pip": "requirements.txt"}
    applications = [{"import_path": "a:a", "runtime_env": own}, {"import_path": "b:b", "runtime_env": own}]
    config = CONFIG.options(applications=applications)
    talk = hold(upload_all(config, "cld_1"), ["numpy"], *LOOKED_AT, place(file_exists=True), ["numpy"])
    resolved = {"working_dir": "s3://b/pkg_1.zip", "pip": ["numpy"]}
    assert [a["runtime_env"] for a in talk.result.applications] == [resolved, resolved]


@pytest.mark.parametrize(("count", "patterns"), [(1, ("*.md", "*.bin")), (2, ("*.bin",))])
def test_a_folder_of_all_leaves_out_what_all_exclude(hold, place, count, patterns):
    """The only application's own patterns hold for it too; those of one of two do not."""
    applications = [{"import_path": "a:a", "runtime_env": {"excludes": ["*.md"]}}, {"import_path": "b:b"}]
    config = LOCAL.options(applications=applications[:count], excludes=["*.bin"])
    talk = hold(upload_all(config, "cld_1"), *LOOKED_AT, place(file_exists=True))
    assert walks(talk) == [("app", patterns, False)]
