"""What a person sees and is asked."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess

import pytest


def test_ending_a_service_is_asked_about(terminal):
    """With its state and the control plane; yes does it."""
    at = terminal("terminate", "recommender")
    at.expect("Terminate recommender (RUNNING, v1 100%), on http://plane.test? [y/N]: ")
    at.type("y\n")
    assert at.end() == 0
    assert "Terminating recommender." in at.text
    assert "service2_" in at.text


def press(at, keys):
    """Type, and again if nothing comes of it: an interrupt just before the wait for input begins is lost."""
    for _ in range(4):
        at.type(keys)
        with contextlib.suppress(subprocess.TimeoutExpired):
            at.process.wait(timeout=2)
            return


@pytest.mark.parametrize("answer", ["n\n", "\n", "\x03", "\x04"])
def test_anything_but_yes_does_nothing(terminal, answer):
    """No, Enter, Ctrl-C and Ctrl-D."""
    at = terminal("terminate", "recommender")
    at.expect("[y/N]: ")
    at.insist(answer, "Nothing was done.")
    assert at.end() == 130
    assert "Terminating" not in at.text


def test_who_is_certain_is_not_asked(terminal):
    """--yes."""
    at = terminal("terminate", "recommender", "--yes")
    assert at.end() == 0
    assert "[y/N]" not in at.text


def test_deleting_for_good_is_asked_about(terminal):
    """A service that still runs is then refused by the server."""
    at = terminal("delete", "recommender")
    at.expect("Delete recommender (service2_")
    at.type("y\n")
    assert at.end() in {4, 7}


def test_a_wait_is_one_line_written_over(terminal):
    """State, versions, weights and the time that has passed; at the end it is gone."""
    at = terminal("wait", "recommender", "--version", "v2", "-t", "9")
    assert at.end() == 13
    at = terminal("wait", "recommender", "--state", "UPDATING", "-t", "9")
    assert at.end() == 9
    assert "\r\x1b[2K⠋ 0:00  recommender RUNNING  v1 100%  waiting for UPDATING" in at.text
    last = at.text.rpartition("\x1b[2K")[2]
    assert (
        last.replace("\x1b[0m", "")
        .replace("\x1b[31m\x1b[1m", "")
        .startswith("Error: Service 'recommender' did not")
    )


def test_a_long_upload_shows_its_percentage(terminal, tmp_path):
    """On the same line, which is gone when the version is there."""
    (tmp_path / "model.bin").write_bytes(os.urandom(5_000_000))
    at = terminal("deploy", "main:app", "-n", "recommender", "-w", str(tmp_path), "--version-name", "v2")
    assert at.end() == 0
    assert "\r\x1b[2K⠋ 0:00  uploading 10% of 5.0 MB" in at.text
    assert "uploading 100% of 5.0 MB" in at.text
    assert "recommender: version v2 deployed" in at.text


def test_a_line_is_cut_where_the_terminal_ends(terminal):
    """A wrapped line could not be written over."""
    at = terminal("wait", "recommender", "--state", "UPDATING", "-t", "9", COLUMNS="40")
    assert at.end() == 9
    lines = [line for line in at.text.split("\r\x1b[2K") if line.startswith("⠋")]
    assert [len(line) for line in lines] == [39]
    assert lines[0].endswith("…")


def test_a_dumb_terminal_gets_plain_lines(terminal):
    """No escape sequences where they would be shown as such."""
    at = terminal("wait", "recommender", "--state", "UPDATING", "-t", "9", TERM="dumb", NO_COLOR="1")
    assert at.end() == 9
    assert "\x1b" not in at.text
    assert "recommender is RUNNING: waiting for UPDATING" in at.text


def test_a_long_list_is_shown_a_screen_at_a_time(terminal):
    """The next page when a key is pressed, as documented; q stops."""
    names = tuple(f"service-{n:02}" for n in range(8))
    at = terminal("list", "--sort", "name", "--page-size", "3", names=names)
    at.expect("any key for more, q to stop")
    assert "service-02" in at.text
    assert "service-03" not in at.text
    at.type(" ")
    at.expect("service-05")
    at.type("q")
    assert at.end() == 0
    assert "service-06" not in at.text


@pytest.mark.parametrize(
    "args", [("--no-interactive",), ("--max-items", "8"), ("-o", "json"), ("-o", "text")]
)
def test_other_lists_come_at_once(terminal, args):
    """Who says how many, or reads by program, is not asked."""
    names = tuple(f"service-{n:02}" for n in range(5))
    at = terminal("list", "--page-size", "2", *args, names=names)
    assert at.end() == 0
    assert "any key" not in at.text
    assert all(name in at.text for name in names)


@pytest.mark.parametrize(("columns", "cut"), [(80, False), (60, True)])
def test_a_table_fits_the_terminal(terminal, columns, cut):
    """A row is a line: the last columns go as a whole, since half an id is of no use; then names are cut."""
    name = "a-rather-long-name-for-a-service-that-recommends"
    at = terminal("list", names=(name,), NO_COLOR="1", COLUMNS=str(columns))
    assert at.end() == 0
    head, row = at.text.replace("\r\x1b[2K", "").splitlines()[:2]
    assert head.split() == ["NAME", "STATE", "PRIMARY", "CANARY"]
    assert len(row) <= columns
    assert (name in row, "…" in row) == (not cut, cut)


@pytest.mark.parametrize(
    ("args", "env", "colored"),
    [
        ((), {}, True),
        ((), {"NO_COLOR": "1"}, False),
        (("--color", "never"), {}, False),
        (("--color", "always"), {"NO_COLOR": "1"}, True),
    ],
)
def test_colors_are_on_a_terminal_unless_told_otherwise(terminal, args, env, colored):
    """The option before the environment, the environment before the default."""
    at = terminal("list", *args, **env)
    assert at.end() == 0
    assert ("\x1b[32m" in at.text) is colored


def test_an_interruption_clears_the_line_and_says_so(terminal):
    """Ctrl-C at a prompt for the next page: 130."""
    at = terminal("list", "--page-size", "1", names=("a", "b"))
    at.expect("any key")
    at.process.send_signal(signal.SIGINT)
    assert at.end() == 130
    assert "Interrupted." in at.text
    assert "Traceback" not in at.text


# ── a rollout ──


@pytest.fixture
def rollout(tmp_path):
    """The arguments of a rollout of another version, by a plan."""

    def arguments(plan):
        (tmp_path / "plan.yaml").write_text(plan)
        (tmp_path / "service.yaml").write_text(
            "name: recommender\nenv_vars: {A: '2'}\napplications:\n- import_path: main:app\n"
        )
        return ("rollout", "run", "-f", str(tmp_path / "service.yaml"), "-p", str(tmp_path / "plan.yaml"))

    return arguments


def test_a_rollout_is_a_block_that_is_written_over(terminal, rollout):
    """What happened stays above it; at the end the result has its place."""
    at = terminal(*rollout("{steps: [10, 50], bake: 20s}"), NO_COLOR="1")
    assert at.end() == 0
    assert "steps    10 % ✓ → [50 %] → all" in at.text
    assert "primary 50 %  canary 50 %" in at.text
    assert "\x1b[2K     0s  rolling out r-" in at.text
    last = at.text.rpartition("\x1b[2K")[2]
    assert "recommender: succeeded: it serves all traffic" in last
    assert "primary" not in last


def test_an_interrupted_rollout_says_how_to_go_on_and_how_to_end_it(terminal, rollout):
    """Ctrl-C asks nothing, and the block is gone: 130."""
    at = terminal(*rollout("{steps: [10], bake: 20s, promotion: true}"), NO_COLOR="1")
    at.expect("anyservice rollout approve recommender")
    at.insist("\x03", "Interrupted.")
    assert at.end() == 130
    last = at.text.rpartition("\x1b[2K")[2]
    assert "The service stays as it is. recommender has version r-" in last
    assert "at 10 % of the traffic" in last
    assert "or `anyservice rollout abort recommender` to take it back." in last


def test_a_rollout_on_a_dumb_terminal_is_lines(terminal, rollout):
    """No escape sequences; a line an event."""
    at = terminal(*rollout("{steps: [10], bake: 20s}"), TERM="dumb", NO_COLOR="1")
    assert at.end() == 0
    assert "\x1b" not in at.text
    assert "0s  recommender: weight 10 % seen, baking 20s" in at.text
