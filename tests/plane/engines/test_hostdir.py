from __future__ import annotations

import math
import os
import signal
import stat
import time
from pathlib import Path

from anyservice_core.plane.engines import EngineState, VersionSpec
from anyservice_core.plane.engines.host import Host
from anyservice_core.plane.engines.hostdir import HostDir, prune


def test_what_is_written_is_private_and_whole(tmp_path: Path) -> None:
    """A file reads as it was written, only for its owner, with nothing left beside it."""
    host = HostDir(tmp_path / "v1")
    host.create()
    host.write("spec", {"a": 1})
    assert host.read("spec") == {"a": 1}
    assert stat.S_IMODE((tmp_path / "v1/spec.json").stat().st_mode) == 0o600
    assert [path.name for path in host.path.iterdir()] == ["spec.json"]


def test_the_first_word_stands(tmp_path: Path) -> None:
    """A reason that is given is not replaced by a later one."""
    host = HostDir(tmp_path)
    host.write_once("failed", {"message": "first"})
    host.write_once("failed", {"message": "second"})
    assert host.read("failed") == {"message": "first"}


def test_rubbish_reads_as_nothing(tmp_path: Path) -> None:
    """A torn or foreign file is no answer, and no error."""
    (tmp_path / "host.json").write_text("{")
    (tmp_path / "spec.json").write_text("[]")
    assert HostDir(tmp_path).read("host") is None
    assert HostDir(tmp_path).read("spec") is None


def test_old_logs_are_dropped_and_living_hosts_never(tmp_path: Path) -> None:
    """Of stopped hosts the newest are kept; one that is known stays, however old."""
    for age in range(4):
        (tmp_path / f"v{age}").mkdir()
        os.utime(tmp_path / f"v{age}", (time.time() - age, time.time() - age))
    HostDir(tmp_path / "v3").write("host", {"sid": 1})
    os.utime(tmp_path / "v3", (0, 0))
    prune(tmp_path, keep=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["v0", "v3"]


def test_old_news_is_bad_news_where_a_host_polls(tmp_path: Path) -> None:
    """A host whose check hangs says so; one that does not poll is as well as it last was."""
    folder = HostDir(tmp_path)
    folder.write(
        "spec", {"version": VersionSpec("v1", ()).to_dict(), "socket": str(tmp_path / "s"), "engine": "ray"}
    )
    host = Host(folder)
    host.ready(("127.0.0.1", 8000))
    assert host.status() == {
        "state": EngineState.RUNNING,
        "address": ("127.0.0.1", 8000),
        "message": "",
        "under_way": None,
        "capacity": None,
    }
    host.stale_after_s = -math.inf
    assert host.status()["state"] is EngineState.UNHEALTHY
    assert host.status()["address"] == ("127.0.0.1", 8000)
    host.close()


def test_a_host_is_asked_to_end_once(tmp_path: Path) -> None:
    """However often: Ray takes our handler away while it shuts down, and one signal more would cut that short."""
    folder = HostDir(tmp_path / "v1")
    folder.create()
    version = VersionSpec("v1", ()).to_dict()
    folder.write("spec", {"version": version, "socket": str(tmp_path / "s"), "engine": "ray"})
    got: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: got.append(number))
    try:
        host = Host(folder)
        assert [host.stop(), host.stop()] == 2 * [{"stopping": True}]
    finally:
        signal.signal(signal.SIGTERM, before)
        host.close()
    assert got == [signal.SIGTERM]
