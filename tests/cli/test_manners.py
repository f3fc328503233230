"""Forms of output, JSON for programs, tokens, and what is loaded when."""

from __future__ import annotations

import json
import subprocess
import sys

import click
import pytest
import yaml
from click.testing import CliRunner

from anyservice_core import errors
from anyservice_core.cli import root
from anyservice_core.cli.errors import EXIT_CODES
from anyservice_core.cli.manners import wants_json

CHANGES = ["rollback", "terminate", "archive", "delete"]


# ── results ──


def test_a_deploy_prints_its_id_in_every_form(run, config):
    """Alone as text, so that `id=$(anyservice deploy ...)` is enough; with the version in the others."""
    text = run("deploy", "-f", str(config), "--version-name", "v1").stdout
    fields = json.loads(run("deploy", "-f", str(config), "--version-name", "v1", "-o", "json").stdout)
    assert text == fields["id"] + "\n"
    assert (
        yaml.safe_load(run("deploy", "-f", str(config), "--version-name", "v1", "-o", "yaml").stdout)
        == fields
    )
    table = run("deploy", "-f", str(config), "--version-name", "v1", "-o", "table").stdout
    assert table.splitlines()[0].split("  ")[0].strip() == "ID"
    assert fields["version_id"] in table


def test_every_change_prints_the_id(run, plane, config, running):
    """The official command prints nothing that a script could use."""
    run("deploy", "-f", str(config), "--version-name", "v2", "--canary-percent", "10")
    id = plane.service("recommender").id
    assert run("shift", "recommender", "--canary-percent", "30").stdout == f"{id}\n"
    for verb in CHANGES:
        done = run(verb, "recommender", "-o", "json")
        assert json.loads(done.stdout) == {"id": id, "name": "recommender"}
        assert json.loads(done.stderr.splitlines()[-1])["event"] == "Message"
        if verb == "terminate":
            run("wait", "recommender", "-s", "terminated")


def test_a_canary_is_moved_without_its_config(run, plane, config, running):
    """By name alone; the version stays."""
    run("deploy", "-f", str(config), "--version-name", "v2", "--canary-percent", "10")
    assert run("shift", "recommender", "--canary-percent", "40%").exit_code == 0
    assert run("wait", "recommender", "--version", "v2", "--canary-weight", "40").exit_code == 0
    assert run("rollback", "recommender").exit_code == 0
    assert run("wait", "recommender").exit_code == 0
    assert run("shift", "recommender", "--canary-percent", "50").exit_code == 7


def test_what_was_waited_for_can_be_read(run, running):
    """Text says nothing on stdout, as the reference; the others have the status."""
    assert run("wait", "recommender").stdout == ""
    assert json.loads(run("wait", "recommender", "-o", "json").stdout)["state"] == "RUNNING"
    assert run("wait", "recommender", "-o", "table").stdout.splitlines()[1].split()[:4] == [
        "primary",
        "v1",
        "RUNNING",
        "100%",
    ]


def test_names_come_one_a_line(run, running):
    """`for name in $(anyservice list -o text)`."""
    assert run("list", "-o", "text").stdout == "recommender\n"
    assert yaml.safe_load(run("list", "-o", "yaml").stdout)[0]["name"] == "recommender"
    assert "No services." in run("list", "-s", "terminated").stderr


def test_services_are_found_by_their_tags(run):
    """Of one key any value will do, of several keys each must fit."""
    run("deploy", "main:app", "-n", "a", "--tag", "team=x", "--tag", "env=prod")
    run("deploy", "main:app", "-n", "b", "--tag", "team=y")
    found = lambda *tags: run("list", "-o", "text", *(f"--tag={tag}" for tag in tags)).stdout.split()  # noqa: E731
    assert sorted(found("team=x", "team=y")) == ["a", "b"]
    assert found("team=x", "team=y", "env=prod") == ["a"]
    assert found("team=z") == []
    assert run("list", "--tag", "team").exit_code == 2


# ── programs ──


def test_json_makes_stderr_readable_too(run, config):
    """Each line is an object, progress and errors alike."""
    done = run("deploy", "-f", str(config), "-j")
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert [event["event"] for event in events] == ["Uploaded", "Deployed"]
    assert all(event["message"] for event in events)


@pytest.mark.parametrize(
    ("args", "kind", "code"),
    [
        (["status", "nobody", "-o", "json"], "NotFoundError", 6),
        (["status", "nobody", "-j"], "NotFoundError", 6),
        (["status", "--nmae", "x", "--output=json"], "NoSuchOption", 2),
        (["status", "-o", "json"], "UsageError", 2),
        (["lst", "-j"], "UsageError", 2),
        (["wait", "recommender", "-s", "UPDATING", "-t", "3", "-j"], "WaitTimeoutError", 9),
        (["wait", "recommender", "--version", "v9", "-j"], "WaitFailedError", 13),
        (["deploy", "-f", "nowhere.yaml", "-j"], "ConfigError", 2),
        (["deploy", "-f", "nowhere.yaml", "-ojson"], "ConfigError", 2),
        (["--frob", "-j"], "NoSuchOption", 2),
    ],
)
def test_an_error_is_json_where_json_is_asked_for(run, running, args, kind, code):
    """Its kind, the words, the exit code, and whether trying again may help; nothing on stdout."""
    result = run(*args)
    error = json.loads(result.stderr.splitlines()[-1])["error"]
    assert (error["type"], error["exit_code"], result.exit_code, result.stdout) == (kind, code, code, "")
    assert error["message"]
    assert error["retryable"] is False


def test_what_a_server_said_is_kept(run, plane):
    """The status is there for programs."""
    error = json.loads(run("status", "--id", "service2_nowhere", "-j").stderr)["error"]
    assert error["status"] == 404


def test_json_is_asked_for_before_the_double_dash_only():
    """What comes after it are values."""
    assert wants_json(["deploy", "-o", "json"])
    assert not wants_json(["deploy", "-o", "yaml"])
    assert not wants_json(["deploy", "--", "-j"])


# ── exit codes ──


def leaves(kind: type[errors.AnyserviceError]) -> set[type[errors.AnyserviceError]]:
    below = (
        set().union(*(leaves(child) for child in kind.__subclasses__())) if kind.__subclasses__() else set()
    )
    return below | {kind}


def test_every_failure_has_a_documented_exit_code():
    """And those that call for different steps have different ones."""
    codes = {kind: kind.exit_code for kind in leaves(errors.AnyserviceError)}
    assert set(codes.values()) <= set(EXIT_CODES)
    apart = (
        errors.ConfigError,
        errors.UnavailableError,
        errors.RejectedError,
        errors.AuthError,
        errors.NotFoundError,
        errors.ConflictError,
        errors.DecodeError,
        errors.WaitTimeoutError,
        errors.WaitFailedError,
        errors.RolledBackError,
        errors.RolloutPausedError,
        errors.PlaneError,
    )
    assert len({codes[kind] for kind in apart}) == len(apart)


# ── where, and as whom ──


def test_a_token_on_the_command_line_is_refused(run):
    """With the reason and the way out, and without repeating it."""
    for args in (["--token", "hunter2"], ["--token=hunter2"]):
        result = run("list", *args)
        assert result.exit_code == 2
        assert "--token-file" in result.stderr
        assert "ANYSERVICE_CLI_TOKEN" in result.stderr
        assert "hunter2" not in result.output


def seen(args: list[str], **more) -> tuple[str | None, str | None]:
    """The host and token that a command would use."""
    found: list[tuple[str | None, str | None]] = []

    def make(host, *, token=None, **_):
        found.append((host, token))
        raise errors.ConfigError("enough seen.")

    CliRunner().invoke(root, args, obj=make, **more)
    return found[0]


def test_a_token_comes_from_a_file_or_stdin(tmp_path):
    """Without the end of its line."""
    file = tmp_path / "token"
    file.write_text("hunter2\n")
    assert seen(["list", "--host", "https://x", "--token-file", str(file)]) == ("https://x", "hunter2")
    assert seen(["list", "--local", "--token-file", "-"], input="from-stdin\n") == ("local", "from-stdin")
    assert seen(["list"]) == (None, None)


@pytest.mark.parametrize(
    ("content", "said"), [(b"", "is empty"), (b"\xff\xfe", "not a text file"), (None, "cannot read")]
)
def test_a_token_file_without_a_token_is_told(run, tmp_path, content, said):
    """By its name."""
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    result = run("list", "--token-file", str(file))
    assert result.exit_code == 2
    assert said in result.stderr


def test_local_and_host_exclude_each_other(run):
    """Unless they say the same."""
    assert run("list", "--local", "--host", "https://x").exit_code == 2
    assert run("list", "--local", "--host", "local").exit_code == 0


def test_without_a_terminal_nothing_is_asked(run, running):
    """The reference's commands never ask, so a script that was written for them must not hang."""
    assert run("terminate", "recommender").exit_code == 0
    assert run("wait", "recommender", "-s", "terminated").exit_code == 0
    assert run("delete", "recommender").exit_code == 0


def test_a_deprecated_spelling_is_the_new_one(run, config, running):
    """Scripts of years ago go on."""
    assert run("service", "terminate", "--service-config-file", str(config)).exit_code == 0


# ── files that cannot be read ──

APPS = "applications:\n- import_path: main:app\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds nothing, where a mapping of fields is wanted"),
        (b"- a\n- b\n", "holds a list"),
        (b"main:app", "holds the text 'main:app'"),
        (b"\x89PNG\r\n\x1a\n\xff", "not a text file in UTF-8"),
        (b"name: x\n\tapplications: []", "line 2, column 1: found character"),
        (b"a: 1\n---\nb: 2\n", "line 2, column 1: but found another document"),
        (b"name: x\nname: y\n", "line 2, column 1: 'name' is here twice"),
        (b"nmae: x\n" + APPS.encode(), "nmae: no such field; did you mean 'name'?"),
        (b"name: x\napplications: main:app\n", "applications: "),
        (b"name: x\napplications: []\n", "applications: empty"),
        (b"name: x\nexcludes: '*.log'\n" + APPS.encode(), "excludes: "),
        (b"name: x\nenv_vars: [A]\n" + APPS.encode(), "env_vars: "),
        (b"name: 5\n" + APPS.encode(), "name: must be text; put it in quotes"),
    ],
)
def test_a_file_that_is_no_config_is_told_by_name_and_place(run, plane, tmp_path, content, said):
    """Nothing is sent, and there is no traceback."""
    file = tmp_path / "service.yaml"
    file.write_bytes(content)
    result = run("deploy", "-f", str(file), "--exclude", "x", "--env", "A=1")
    assert (result.exit_code, result.stdout, plane.sent) == (2, "", [])
    assert f"Error: {file}" in result.stderr
    assert said in result.stderr


def test_a_folder_or_nothing_is_no_file(run, tmp_path):
    """In the words of the system."""
    assert "Is a directory" in run("deploy", "-f", str(tmp_path)).stderr
    assert "No such file" in run("deploy", "-f", str(tmp_path / "x.yaml")).stderr


def test_a_config_may_come_from_stdin(config):
    """`-f -`, in a process with a real stdin; what is wrong is said of stdin."""
    code = (
        "import sys\n"
        "from anyservice_core.cli import root\n"
        "from anyservice_core.testing import FakePlane\n"
        "plane = FakePlane()\n"
        "root.main(sys.argv[1:], obj=lambda host, **options: plane.client(**options))"
    )
    command = [sys.executable, "-c", code, "deploy", "-f", "-"]
    done = subprocess.run(command, input=config.read_text(), capture_output=True, text=True)
    assert (done.returncode, done.stdout[:9]) == (0, "service2_")
    wrong = subprocess.run(command, input="name: x", capture_output=True, text=True)
    assert (wrong.returncode, wrong.stderr) == (2, "Error: stdin: applications: missing.\n")


# ── start-up and completion ──


def loaded_by(*args: str) -> set[str]:
    code = (
        "import sys\n"
        "from anyservice_core.cli import root\n"
        "root.main(sys.argv[1:], standalone_mode=False)\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "args", [["--help"], ["deploy", "--help"], ["list", "--help"], ["rollout", "--help"], ["plane", "--help"]]
)
def test_help_loads_nothing_heavy(args):
    """It answers at once because neither HTTP nor models are there."""
    assert not {"httpx", "pydantic", "yaml", "anyio", "asyncio", "ssl", "ray"} & loaded_by(*args)


def completed(line: str, run_with=None) -> list[str]:
    """What the shell is offered at the end of this line."""
    from click.shell_completion import ShellComplete

    class Plain(ShellComplete):
        name = "plain"
        source_template = ""

        def get_completion_args(self):
            *args, incomplete = line.split(" ")[1:]
            return args, incomplete

        def format_completion(self, item):
            return item.value

    shell = Plain(root, {"obj": run_with}, "anyservice", "_ANYSERVICE_COMPLETE")
    return shell.complete().splitlines()


def test_commands_options_and_states_are_completed(plane, running):
    """And names of services, by asking the control plane."""
    assert completed("anyservice ro") == ["rollout", "rollback"] or set(completed("anyservice ro")) == {
        "rollout",
        "rollback",
    }
    assert "--canary-percent" in completed("anyservice deploy --can")
    assert completed("anyservice wait -s runn") == ["running"]
    assert completed("anyservice list -s TERM") == ["TERMINATING", "TERMINATED"]
    make = lambda host, **options: plane.client(**options)  # noqa: E731
    assert completed("anyservice status rec", make) == ["recommender"]
    assert completed("anyservice service terminate -n ", make) == ["recommender"]


def test_completion_is_silent_when_nobody_answers():
    """A shell has no place for errors."""

    def make(host, **options):
        raise errors.TransportError("gone")

    assert completed("anyservice status rec", make) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_script(shell):
    """Which asks this command."""
    assert "_ANYSERVICE_COMPLETE" in CliRunner().invoke(root, ["completion", shell]).stdout


def test_the_planes_own_defaults_are_said_twice_alike():
    """Help must not load the plane, so the command has a copy."""
    from anyservice_core.cli import plane
    from anyservice_core.plane import daemon

    assert (plane.DEFAULT_PORT, plane.ENGINES) == (daemon.DEFAULT_PORT, daemon.ENGINES)


def test_a_color_is_forced_where_there_is_no_terminal(run, running):
    """For `less -R`; by default a pipe gets none."""
    assert "\x1b[" not in run("list").stdout
    assert "\x1b[32m" in run("list", "--color", "always").stdout


def test_every_command_that_prints_can_print_json():
    """Programs need not parse words."""

    def walk(command: click.Command, path: str):
        if isinstance(command, click.Group):
            for name in command.list_commands(click.Context(command)):
                yield from walk(command.get_command(click.Context(command), name), f"{path} {name}")
        else:
            yield path, command

    without = {"completion", "plane logs", "plane down", "plane doctor"}
    for path, command in walk(root, ""):
        if path.strip() not in without:
            names = {option for parameter in command.params for option in parameter.opts}
            assert {"-o", "--output", "-j", "--json", "--color"} <= names, path
