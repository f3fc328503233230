"""What was started, and that nothing of it is left."""

import json
import os
import subprocess
import sys
import threading
import time
import uuid

import pytest

from dags_examples.demo.processes import MARK, Program, Programs, Stopped

pytestmark = pytest.mark.real
FOREVER = "import time; print('up', flush=True); time.sleep(600)"


@pytest.fixture
def programs(tmp_path):
    programs = Programs(tmp_path / "logs", tmp_path / "state", uuid.uuid4().hex)
    yield programs
    programs.end()
    programs.sweep()


def python(code, name="it"):
    return Program(name, [sys.executable, "-c", code])


def started(programs, program):
    """Run a program aside and wait for its first line; give its thread and what becomes its exit code."""
    up, codes = threading.Event(), []
    thread = threading.Thread(target=lambda: codes.append(programs.run(program, lambda _: up.set())))
    thread.start()
    assert up.wait(30)
    return thread, codes


def test_exit_code_lines_and_log(programs):
    """A program's words are heard as they come and kept, its exit code is given."""
    heard = []
    code = programs.run(
        python("import sys; print('one'); print('two', file=sys.stderr); sys.exit(3)"), heard.append
    )
    assert (code, sorted(heard)) == (3, ["one", "two"])
    assert sorted((programs.logs / "it.log").read_text().split()) == ["one", "two"]


def test_second_run_does_not_repeat_the_first(programs):
    """The log goes on; only what is new is heard."""
    heard = []
    for word in ("one", "two"):
        programs.run(python(f"print({word!r})"), heard.append)
    assert heard == ["one", "two"]


def test_end_stops_what_runs_and_starts_no_more(programs):
    """After the end nothing of ours lives, and nothing begins by mistake."""
    thread, codes = started(programs, python(FOREVER))
    assert [text.split()[0] for text in programs.left()] == ["it"]
    programs.end()
    thread.join(30)
    assert codes == [-15]
    assert programs.left() == []
    with pytest.raises(Stopped):
        programs.run(python("print()"))


def test_a_deaf_program_is_killed(programs):
    """Whoever ignores SIGTERM is not asked again."""
    code = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {FOREVER}"
    thread, codes = started(programs, python(code))
    programs.end()
    programs.sweep()
    thread.join(30)
    assert codes == [-9]


def test_a_runaway_grandchild_is_found_and_swept(programs):
    """A process that made a session of its own is known by the mark it was born with, and hangs nobody."""
    code = (
        "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], "
        "start_new_session=True)"
    )
    assert programs.run(python(code)) == 0
    assert len(programs.left()) == 1
    programs.sweep()
    assert programs.left() == []


def test_sessions_of_the_plane_are_known(programs):
    """The router carries no mark; it is known by the session in the plane's records."""
    environment = {name: value for name, value in os.environ.items() if name != MARK}
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    stranger = subprocess.Popen(command, env=environment, start_new_session=True)
    programs.state_dir.mkdir()
    (programs.state_dir / "router.json").write_text(json.dumps({"session": {"sid": stranger.pid}}))
    try:
        assert programs.left() == []
        programs.look_around()
        assert programs.left() == [f"router (pid {stranger.pid})"]
    finally:
        stranger.kill()
        stranger.wait()


def test_left_waits_for_what_is_about_to_go(programs):
    """A process on its way out is no leak."""
    thread, _ = started(programs, python("import time; print('up', flush=True); time.sleep(1)"))
    began = time.monotonic()
    assert programs.left(patience_s=30) == []
    assert time.monotonic() - began < 25
    thread.join(30)
