from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import yaml
from click.testing import CliRunner

from anyservice_core.cli import root

SERVICES = ["deploy", "status", "wait", "rollback", "terminate", "list", "archive", "delete"]


@pytest.fixture
def running(run, config):
    """A service that runs, deployed by hand."""
    assert run("deploy", "-f", str(config), "--version-name", "v1").exit_code == 0
    assert run("wait", "recommender").exit_code == 0


def test_a_service_is_deployed_and_seen(run, config):
    """Results on stdout, everything else on stderr."""
    deployed = run("deploy", "-f", str(config), "--version-name", "v1")
    assert (deployed.exit_code, deployed.stdout.count("\n")) == (0, 1)
    assert deployed.stdout.startswith("service2_")
    assert "version v1 deployed" in deployed.stderr
    waited = run("wait", "-f", str(config))
    assert (waited.exit_code, waited.stdout) == (0, "")
    assert "recommender RUNNING  v1 100%  after 0:00" in waited.stderr
    shown = run("status", "-n", "recommender", "-j")
    status = json.loads(shown.stdout)
    assert (status["state"], status["primary_version"]["name"]) == ("RUNNING", "v1")


@pytest.mark.usefixtures("running")
def test_a_canary_is_deployed_held_and_rolled_back(run, config):
    """The day of a release, by hand."""
    assert run("deploy", "-f", str(config), "--version-name", "v2", "--canary-percent", "10").exit_code == 0
    assert run("wait", "recommender", "--version", "v2", "--canary-weight", "10").exit_code == 0
    assert "v2 10%" in run("list").stdout
    assert run("rollback", "recommender").exit_code == 0
    assert run("wait", "recommender").exit_code == 0
    lost = run("wait", "recommender", "--version", "v2")
    assert lost.exit_code == 13
    assert "rolled back or replaced" in lost.stderr


@pytest.mark.usefixtures("running")
def test_a_service_is_ended(run):
    """Down, hidden, gone."""
    assert run("terminate", "recommender").exit_code == 0
    assert run("wait", "recommender", "-s", "terminated").exit_code == 0
    assert run("archive", "-n", "recommender").exit_code == 0
    assert run("status", "recommender").exit_code == 6
    assert "recommender" in run("list", "--include-archived").stdout
    assert run("delete", "recommender").exit_code == 0
    assert run("list", "--include-archived", "-j").stdout.strip() == "[]"


@pytest.mark.usefixtures("running")
def test_a_status_is_text_yaml_or_json(run):
    """Configs and the query token only when asked for; text leaves out what is empty."""
    text = run("status", "recommender").stdout
    assert yaml.safe_load(text)["query_auth_token"] == "(hidden; -v shows it)"
    assert "canary_version" not in text
    assert "config" not in yaml.safe_load(text)["primary_version"]
    verbose = yaml.safe_load(run("status", "recommender", "-v").stdout)
    assert verbose["primary_version"]["config"]["applications"]
    assert "hidden" not in verbose["query_auth_token"]
    assert yaml.safe_load(run("status", "recommender", "-o", "yaml").stdout)["canary_version"] is None


@pytest.mark.usefixtures("running")
def test_a_checklist_is_shown_when_asked_for(run):
    """Router, hosts and applications as they were last seen: a line each in text, rows in a table, fields in JSON."""
    assert "checklist" not in run("status", "recommender", "-j").stdout
    text = yaml.safe_load(run("status", "recommender", "-v").stdout)["checklist"]
    assert [line.partition(" (")[0] for line in text] == [
        "Router RUNNING",
        "Host of v1 RUNNING",
        "Applications of v1 RUNNING",
    ]
    assert text[1].endswith(", engine fake")
    fields = json.loads(run("status", "recommender", "-v", "-j").stdout)["checklist"]
    assert {**fields[1], "since": ""} == {
        "label": "Host",
        "state": "RUNNING",
        "message": "engine fake",
        "version": "v1",
        "since": "",
    }
    table = run("status", "recommender", "-v", "-o", "table").stdout.split("\n\n")[1].splitlines()
    assert [row.split()[:3] for row in table[:3]] == [
        ["CHECK", "VERSION", "STATE"],
        ["Router", "-", "RUNNING"],
        ["Host", "v1", "RUNNING"],
    ]


@pytest.mark.usefixtures("running")
def test_a_list_is_a_table_or_json(run):
    """Filters and order as the reference has them."""
    assert run("list", "--state", "running", "--sort", "-created_at").stdout.split()[:2] == ["NAME", "STATE"]
    assert run("list", "--state", "terminated").stdout == ""
    assert [one["name"] for one in json.loads(run("list", "-n", "rec", "-j").stdout)] == ["recommender"]
    assert run("list", "--sort", "age").exit_code == 2


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["status", "nobody"], 6, "No service is called 'nobody'"),
        (["status"], 2, "Say which service"),
        (["status", "a", "-n", "b"], 2, "only once, not as a, b"),
        (["status", "a", "--id", "b"], 2, "only once, not as a, b"),
        (["wait", "a", "-s", "on"], 2, "'on' is not a state"),
        (["wait", "a", "-t", "soon"], 2, "not a valid float"),
        (["rollback", "-f", "none.yaml"], 2, "none.yaml"),
        (["deploy"], 2, "Say what to deploy"),
        (["deploy", "-f", "a.yaml", "main:app"], 2, "both say what to deploy"),
        (["deploy", "main"], 2, "'main' is not of the form"),
        (["deploy", "main:app", "size"], 2, "key=value"),
        (["deploy", "main:app", "--env", "=x"], 2, "key=value"),
        (["deploy", "main:app"], 2, "name: missing"),
        (["deploy", "main:app", "-n", "a", "--canary-percent", "101"], 2, "0 to 100"),
        (["deploy", "main:app", "-n", "a", "-w", "/no/such"], 2, "does not exist"),
        (["frobnicate"], 2, "No such command"),
    ],
)
def test_bad_input_is_a_message_and_an_exit_code(run, args, code, said):
    """Never a traceback, nothing on stdout."""
    result = run(*args)
    assert (result.exit_code, result.stdout) == (code, "")
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_a_config_without_a_name_cannot_say_which_service(run, tmp_path):
    """So the message is about the file."""
    file = tmp_path / "a.yaml"
    file.write_text("applications: []")
    assert "holds no `name`" in run("status", "-f", str(file)).stderr


def test_broken_yaml_is_named_with_its_place(run, tmp_path):
    """File, line and column."""
    file = tmp_path / "a.yaml"
    file.write_text("a: [1\nb: 2")
    result = run("deploy", "-f", str(file))
    assert result.exit_code == 2
    assert f"{file}, line 2, column 2" in result.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_every_command_teaches(name):
    """Help that says what for; the examples keep their lines."""
    result = CliRunner().invoke(root, [name, "--help"])
    assert result.exit_code == 0
    assert "\\b" not in result.stdout
    assert f"\n    anyservice {name}" in result.stdout


@pytest.mark.parametrize("name", SERVICES)
def test_every_option_says_what_for(name):
    """One without a word is a riddle."""
    command = root.get_command(None, name)  # type: ignore[arg-type]
    assert command is not None
    for option in command.params:
        assert option.param_type_name == "argument" or getattr(option, "hidden", False) or option.help, (
            option.name
        )


def test_the_table_of_commands_is_the_truth():
    """What help says before a command is loaded is about that command."""
    shown = CliRunner().invoke(root, ["--help"]).stdout
    for name, entry in root.entries.items():
        assert root.get_command(None, name).name == name  # type: ignore[arg-type, union-attr]
        assert entry.help.split()[0] in shown


def command(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("ANYS", "HOME"))}
    code = "from anyservice_core.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *args], capture_output=True, text=True, env=clean | env, check=False
    )


def test_a_stranger_is_told_the_way_in(tmp_path):
    """No settings at all, in a process of its own."""
    done = command("list", HOME=str(tmp_path))
    assert done.returncode == 2
    assert "anyservice plane up" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_that_is_not_there_may_be_tried_again(tmp_path):
    """The exit code says so, and no token is shown."""
    env = {"HOME": str(tmp_path), "ANYSERVICE_HOST": "ftp://x", "ANYSERVICE_CLI_TOKEN": "hunter2"}
    done = command("list", **env)
    assert (done.returncode, "hunter2" in done.stderr + done.stdout) == (2, False)


def test_an_interruption_is_no_traceback(tmp_path):
    """Ctrl-C while waiting: 130, as shells have it."""
    code = (
        "import os, signal\n"
        "from anyservice_core.cli import root\n"
        "def make(host, **_): os.kill(os.getpid(), signal.SIGINT)\n"
        "root.main(['list'], obj=make)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert "Interrupted" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path):
    """`anyservice list | head -1`."""
    code = (
        "from anyservice_core.cli import root\n"
        "import click\n"
        "def make(host, **_): raise BrokenPipeError\n"
        "root.main(['list'], obj=make)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        ("ModuleNotFoundError(name='uvicorn')", 2, "anyservice[plane]"),
        ("ModuleNotFoundError(name='ray.serve')", 2, "anyservice[local]"),
        ("RuntimeError('odd')", 1, "unforeseen RuntimeError: odd"),
    ],
)
def test_what_nobody_foresaw_is_still_a_message(raised, code, said):
    """A missing extra by its name; a fault of ours as such."""

    def make(host, **_):
        raise eval(raised)

    result = CliRunner().invoke(root, ["list"], obj=make)
    assert result.exit_code == code
    assert said in result.stderr
