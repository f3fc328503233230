from __future__ import annotations

import pickle

import pytest

from anyservice_core import RayGCSExternalStorageConfig, ServiceConfig, TracingConfig, bundle
from anyservice_core.errors import ConfigError

APPS = [{"import_path": "main:app"}]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "applications: missing"),
        ({"applications": []}, "applications: empty"),
        ({"applications": "main:app"}, "applications: .*list"),
        ({"applications": [{}]}, r"applications.0.import_path: missing"),
        ({"applications": [{"import_path": "main"}]}, "'main' is not of the form 'module:variable'"),
        ({"applications": [{"import_path": "a:b:c"}]}, "'a:b:c' is not of the form"),
        ({"applications": APPS, "nam": "x"}, "nam: no such field; did you mean 'name'"),
        ({"applications": APPS, "env_vars": {"A": 1}}, "env_vars.A: must be text; put it in quotes"),
        ({"applications": APPS, "image_uri": "a", "containerfile": "b"}, "exclude each other"),
        ({"applications": APPS, "registry_login_secret": "a"}, "goes with an image_uri"),
        ({"applications": APPS, "ray_version": "2.9"}, "ray_version: '2.9' is not of the form X.Y.Z"),
        ({"applications": APPS, "http_options": {"port": 1}}, "http_options.port"),
        ({"applications": APPS, "proxy_location": "Disabled"}, "proxy_location"),
        ({"applications": APPS, "tracing_config": {"sampling_ratio": 2}}, "sampling_ratio: .*not 2"),
    ],
)
def test_a_config_that_cannot_work_names_the_field(fields, text):
    """At once, before anything is sent."""
    with pytest.raises(ConfigError, match=text):
        ServiceConfig(**fields)


def test_the_value_of_an_environment_variable_is_not_shown():
    """It may be a secret."""
    with pytest.raises(ConfigError) as caught:
        ServiceConfig(applications=APPS, env_vars={"KEY": 12345})
    assert "12345" not in str(caught.value)
    assert "hunter2" not in repr(ServiceConfig(applications=APPS, env_vars={"KEY": "hunter2"}))


def test_options_give_a_checked_copy():
    """The original stays as it is."""
    one = ServiceConfig(name="a", applications=APPS, env_vars={"A": "1"})
    two = one.options(name="b", tracing_config=TracingConfig(sampling_ratio=1))
    assert (one.name, two.name, two.env_vars) == ("a", "b", {"A": "1"})
    with pytest.raises(ConfigError):
        one.options(ray_version="new")


def test_to_dict_comes_back():
    """Without what is not given."""
    one = ServiceConfig(
        name="a",
        applications=APPS,
        ray_gcs_external_storage_config=RayGCSExternalStorageConfig(address="http://redis:1"),
    )
    assert ServiceConfig(**one.to_dict()) == one
    assert "image_uri" not in one.to_dict()
    assert pickle.loads(pickle.dumps(one)) == one


def test_the_reference_s_yaml_is_read(tmp_path):
    """Every field that its documentation shows, `grpc_options.port` among them."""
    file = tmp_path / "service.yaml"
    file.write_text(
        "name: my-service\napplications:\n- import_path: main:app\nimage_uri: anyscale/image/my-image:1\n"
        "compute_config: my-compute-config:1\nworking_dir: /path\nexcludes: [.git]\nrequirements: [emoji==1.2.0]\n"
        "env_vars: {A: b}\npy_modules: [/m, 's3://b/m']\ncloud: prod\nproject: p\nquery_auth_token_enabled: True\n"
        "http_options: {request_timeout_s: 60}\ngrpc_options: {port: 50051, grpc_servicer_functions: ['m:f']}\n"
        "logging_config: {encoding: JSON}\ntracing_config: {enabled: true, sampling_ratio: 1.0}\n"
    )
    assert ServiceConfig.from_yaml(file).name == "my-service"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1\nb: 2", r"service\.yaml, line 2, column 2"),
        ("", "holds nothing"),
        ("- a", "holds a list"),
        ("\x00", "not valid YAML"),
    ],
)
def test_broken_yaml_is_named_with_its_place(tmp_path, text, said):
    """File, line and column; no traceback."""
    file = tmp_path / "service.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=said):
        ServiceConfig.from_yaml(file)


def test_a_file_that_is_not_there_is_named(tmp_path):
    """So is one that is no text."""
    with pytest.raises(ConfigError, match=r"none\.yaml"):
        ServiceConfig.from_yaml(tmp_path / "none.yaml")
    file = tmp_path / "binary.yaml"
    file.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ConfigError, match="UTF-8"):
        ServiceConfig.from_yaml(file)


def test_paths_can_be_seen_from_a_folder():
    """For those who cannot say what the working directory will be; URIs and absolute paths stay."""
    config = ServiceConfig.parse(
        {
            "applications": APPS,
            "working_dir": ".",
            "requirements": "r.txt",
            "py_modules": ["/abs", "s3://b/m"],
        },
        base="/srv",
    )
    assert (config.working_dir, config.requirements) == ("/srv", "/srv/r.txt")
    assert config.py_modules == ["/abs", "s3://b/m"]


@pytest.mark.parametrize("source", [1, None, ["a"]])
def test_what_is_no_config_is_refused(source):
    """With what one looks like."""
    with pytest.raises(ConfigError, match="must be a mapping"):
        ServiceConfig.parse(source)


def test_a_file_that_is_no_part_of_the_build_is_left_out(tmp_path):
    """Wherever it lies in the folder, and whatever it is called; elsewhere there is nothing to leave out."""
    app = tmp_path / "app"
    (app / "plans").mkdir(parents=True)
    (app / "plans" / "main.py").write_text("")
    odd = app / "plans" / "roll [out]*#1!.yaml"
    config = ServiceConfig(name="a", applications=[{"import_path": "main:app"}], working_dir=str(app))
    before = {member.name for member in bundle.survey(str(app)).members}
    odd.write_text("steps: [5]")
    left = config.without_file(odd)
    assert left.excludes is not None
    assert {member.name for member in bundle.survey(str(app), tuple(left.excludes)).members} == before
    assert config.without_file(tmp_path / "plan.yaml") == config
    remote = config.options(working_dir="s3://b/a.zip")
    assert remote.without_file(odd) == remote
