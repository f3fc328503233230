"""``rollout backtest``: the judge asked about the past, from a shell."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from anyservice_core.cli import root
from anyservice_core.testing import FakePlane

Run = Callable[..., Result]

STORE = "http://store.test"
PLAN = f"""
rollout:
  steps: [5, 50]
  bake: 10m
  metrics:
    - name: memory
      provider: {{prometheus: {{address: "{STORE}", query: 'max(memory{{version="{{{{ canary.id }}}}"}})'}}}}
      success: {{max: 0.9}}
    - {{name: users, provider: router}}
"""
VERSIONS = ("--canary", "srv_new", "--primary", "srv_old")
BETWEEN = ("--from", "2026-01-01T12:00", "--to", "2026-01-01T13:00")


@pytest.fixture
def plan(tmp_path: Path) -> str:
    file = tmp_path / "rollout.yaml"
    file.write_text(PLAN, encoding="utf-8")
    return str(file)


@pytest.fixture(autouse=True)
def store(plane: FakePlane) -> list[str]:
    """A store in which the canary's memory grows without end; what it was asked."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.params["query"])
        minutes = (float(request.url.params["time"]) - 1_767_268_800) / 60  # since noon
        rows = [{"metric": {"\x1b[31m": "x"}, "value": [0, str(0.5 + minutes / 75)]}]
        data = {"resultType": "vector", "result": rows}
        return httpx.Response(200, json={"status": "success", "data": data})

    plane.serve(STORE, answer)
    return asked


@pytest.fixture
def backtest(run: Run, plan: str) -> Run:
    return lambda *args: run("rollout", "backtest", "-p", plan, *VERSIONS, *BETWEEN, *args)


def test_it_says_when_each_metric_decided_and_what_would_have_come_of_it(backtest: Run) -> None:
    """The result on stdout, progress on stderr, and an exit code of 0: the question was answered."""
    result = backtest()
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == (
        "memory: passed after 15s, at 01 Jan 2026 12:00:15 UTC, failed after 31m15s, at 01 Jan 2026 12:31:15 UTC"
    )
    assert lines[2:4] == [
        "left out: service: nobody keeps how healthy the service was",
        "left out: users: the router's counters are sums up to now",
    ]
    assert lines[4] == "asked the metric stores 60 times"
    assert lines[5].startswith("srv_new would have been rolled back after 31m15s: memory: 0.9")
    assert "replayed 50 % of the interval, 30 queries of at most 61" in result.stderr


def test_json_is_all_that_is_on_stdout(backtest: Run) -> None:
    """With every measurement, fit for a notebook."""
    result = backtest("-j")
    plain = json.loads(result.stdout)
    assert plain["outcome"] == "rolled_back"
    assert len(plain["metrics"][0]["points"]) == 60
    assert all("message" in json.loads(line) for line in result.stderr.splitlines())


def test_a_page_is_written_where_it_is_asked_for(backtest: Run, tmp_path: Path) -> None:
    """Beside the result; a place that cannot be written to is said."""
    file = tmp_path / "backtest.html"
    assert backtest("--html", str(file)).exit_code == 0
    text = file.read_text(encoding="utf-8")
    assert "would have been rolled back" in text
    assert "nothing was done to the service" in text
    refused = backtest("--html", str(tmp_path / "no" / "such.html"))
    assert refused.exit_code == 2
    assert "--html: cannot write" in refused.stderr


def test_the_steps_are_walked_through_if_that_is_asked(backtest: Run) -> None:
    """Ten minutes each, all of them before the memory is too much."""
    result = backtest("--step-weights")
    assert (
        result.stdout.splitlines()[-1]
        == "srv_new would have been promoted after 20m: nothing spoke against it."
    )


def test_only_stores_are_asked_and_no_token_is_needed(plane: Any, plan: str) -> None:
    """Who wants to look at the past of a store need not be known to a control plane."""
    made: list[dict[str, Any]] = []

    def make(host: str | None, **options: Any) -> Any:
        made.append(options)
        return plane.client(**{name: value for name, value in options.items() if name != "token"})

    args = ["rollout", "backtest", "-p", plan, *VERSIONS, *BETWEEN]
    assert CliRunner().invoke(root, args, obj=make).exit_code == 0
    assert made[0]["token"] == "none"
    assert plane.requests == []


@pytest.mark.usefixtures("running")
def test_versions_may_be_named_where_the_service_is_known(
    run: Run, plane: Any, plan: str, config: Path, store: list[str]
) -> None:
    """By an option or by its config file; the plane is asked, and nothing else."""
    version = plane.version_id("v1")
    plane.requests.clear()
    args = ("rollout", "backtest", "-p", plan, "--canary", "v1", "--primary", "srv_old", *BETWEEN)
    for named in (
        ("--service", "recommender"),
        ("-f", str(config)),
        ("-f", str(config), "--service", "recommender"),
    ):
        assert run(*args, *named).exit_code == 0
    assert set(store) == {f'max(memory{{version="{version}"}})'}
    assert all(request.startswith("GET ") for request in plane.requests)
    both = run(*args, "-f", str(config), "--service", "another")
    assert both.exit_code == 2
    assert "--service says another" in both.stderr


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--from", "tomorrow"], "start: 'tomorrow' is no time"),
        (["--max-queries", "10"], "10 are allowed"),
        (["--canary", "srv_old"], "not two versions"),
        (["--to", "2026-01-01T12:10", "--step-weights"], "The steps bake 20m"),
    ],
)
def test_bad_input_is_a_message_and_exit_code_2(backtest: Run, args: list[str], said: str) -> None:
    """No traceback, nothing asked."""
    result = backtest(*args)
    assert result.exit_code == 2
    assert said in result.stderr
    assert "Traceback" not in result.output


def test_a_metric_that_never_decided_says_so(backtest: Run, plane: FakePlane) -> None:
    """Without data there is no verdict."""
    nothing = {"status": "success", "data": {"resultType": "vector", "result": []}}
    plane.serve(STORE, lambda _: httpx.Response(200, json=nothing))
    lines = backtest().stdout.splitlines()
    assert lines[0] == "memory: was never decided"
    assert "would have been paused" in lines[-1]
