"""The whole story, told with light versions and without Airflow and Prefect."""

import os
import signal
import sys
import threading
import time
import uuid
from pathlib import Path

import pytest
import yaml

from anyservice_core import Client
from anyservice_core.settings import PlaneRecord
from dags_examples.demo import scripts
from dags_examples.demo.board import Board
from dags_examples.demo.checks import exit_code
from dags_examples.demo.processes import Program, Programs
from dags_examples.demo.scripts import Script, at_plane
from dags_examples.demo.story import CHAPTERS, DemoError, Story, rollout_says
from dags_examples.demo.traffic import Record


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("digits: weight 10 % seen, baking 20s", "weight 10 % seen, baking 20s"),
        (
            "[2026-01-01 00:00:00] INFO - digits: asking for 50 %      [airflow_provider] loc=hooks.py:78",
            "asking for 50 %",
        ),
        (
            "12:00:01.123 | INFO    | Task run 'rollout' - digits: rolled back: worse (evidence 68 > 40).",
            "rolled back: worse (evidence 68 > 40).",
        ),
        ("Filling up the DagBag from /somewhere/digits_rollout_dag.py", None),
    ],
)
def test_the_rollouts_own_words_are_found_in_any_log(line, said):
    """Airflow and Prefect dress the same words differently."""
    assert rollout_says(line) == said


def test_the_real_script_names_files_that_exist(tmp_path):
    """What the demo runs is what people copy."""
    script = scripts.script(tmp_path)
    assert {program.name for program in script.warm} == {"airflow-db", "prefect-db"}
    for program in (script.roll_out_v2, script.roll_out_v3):
        examples = [word for word in program.command if word.endswith(".py")]
        assert examples
        assert all(Path(path).exists() for path in examples)


def test_no_secret_is_in_a_programs_environment(tmp_path):
    """Programs find the plane by its folder, whose token only its owner can read."""
    script = scripts.script(tmp_path)
    for program in (*script.warm, script.roll_out_v2, script.roll_out_v3):
        assert [name for name, value in program.environment.items() if "TOKEN" in name and value] == []


@pytest.fixture
def work(tmp_path):
    """A folder with a short plan."""
    plan = yaml.safe_load(scripts.PLAN.read_text())
    plan["rollout"]["bake"] = "12s"
    metric = plan["rollout"]["metrics"][0]
    metric.update(interval="0.5s", initial_delay="3s")
    metric["compare"]["max_rate"] = 0.15
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    return tmp_path


def by_command_line(work):
    """Roll out with our own command instead of Airflow and Prefect."""

    def go(version):
        config = work / "services" / version / "service.yaml"
        words = (
            "rollout",
            "run",
            "-f",
            str(config),
            "-p",
            str(work / "plan.yaml"),
            "--poll-interval",
            "0.5s",
        )
        code = "from anyservice_core.cli import main; main()"
        return Program(f"roll-out-{version}", (sys.executable, "-c", code, *words), at_plane(work))

    return Script((), go("v2"), go("v3"))


@pytest.fixture
def make_story(work):
    stories = []

    def make(script):
        programs = Programs(work / "logs", work / "state", uuid.uuid4().hex)
        story = Story(work, script, Board(CHAPTERS, Record()), programs, engine="process", rate=60.0)
        stories.append(story)
        return story

    yield make
    for story in stories:
        story.abandon()
        assert story.programs.left() == []


@pytest.mark.real
@pytest.mark.timeout(300)
def test_all_answers_are_yes(make_story, work):
    """From nothing to v2 at all traffic, v3 taken back, no request lost, nobody left."""
    story = make_story(by_command_line(work))
    answers = story.tell()
    assert [(check.question, check.numbers) for check in answers if not check.good] == []
    assert exit_code(answers) == 0
    texts = [event.text for event in story.board.events()]
    assert any("asking for 50 %" in text for text in texts)
    assert "v3 was taken back" in texts


@pytest.mark.real
@pytest.mark.timeout(300)
def test_a_rollout_that_fails_ends_the_story_with_its_log(make_story, work):
    """Whoever sees the demo fail is told which part, how, and where to read on; nothing is left running."""
    script = by_command_line(work)
    broken = Program("roll-out-v2", (sys.executable, "-c", "import sys; sys.exit('no such plan')"))
    story = make_story(Script((), broken, script.roll_out_v3))
    with pytest.raises(
        DemoError, match=r"the DAG failed \(exit code 1\)[\s\S]*no such plan[\s\S]*roll-out-v2.log"
    ):
        story.tell()
    story.abandon()
    assert story.programs.left() == []


@pytest.mark.real
@pytest.mark.timeout(300)
def test_a_dag_that_succeeds_without_promoting_is_a_fault(make_story, work):
    """An exit code of 0 is not believed: the plane is asked who is primary."""
    script = by_command_line(work)
    idle = Program("roll-out-v2", (sys.executable, "-c", "print()"))
    with pytest.raises(DemoError, match="v2 is not the primary version"):
        make_story(Script((), idle, script.roll_out_v3)).tell()


@pytest.mark.real
@pytest.mark.timeout(300)
def test_ctrl_c_in_the_middle_leaves_nothing(make_story, work):
    """An interrupt while a rollout is under way ends it, the versions, the router and the plane."""
    story = make_story(by_command_line(work))

    def interrupt():
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not any("baking" in e.text for e in story.board.events()):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        story.tell()
    plane = PlaneRecord.read(work / "state")
    assert plane is not None
    with Client(plane.host, plane.token) as client:
        assert client.status("digits").canary_version is not None
    story.abandon()
    assert story.programs.left() == []
