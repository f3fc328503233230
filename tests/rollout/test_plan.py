"""Plans: what they may say, and what is said back to who wrote them wrong."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from anyservice_core.errors import PlanError
from anyservice_core.rollout import RolloutPlan
from anyservice_core.rollout.lints import lint
from anyservice_core.rollout.metric import Compare
from anyservice_core.rollout.plan import Approval, OnTimeout

FULL = """
rollout:
  max_surge_percent: 50
  bake: 15m
  steps:
    - {weight: 0, bake: 1m, analysis: [memory]}
    - 5
    - {weight: 25, bake: 1h30m}
  metrics:
    - {name: errors, provider: router, compare: {max_ratio: 3, max_rate: null, confidence: 0.99}}
    - name: memory
      interval: 1m
      provider:
        prometheus: {address: "http://prometheus:9090/", query: 'max(mem{v="{{ canary.id }}"})'}
      success: {max: 0.9}
      failure: {min: 0.97}
      failure_limit: 2
    - name: slow
      provider:
        prometheus:
          address: http://prometheus:9090
          errors: sum(increase(slow{v="{{ version.name }}"}[{{ window }}]))
          requests: sum(increase(all{v="{{ version.name }}"}[{{ window }}]))
      compare: {}
  progress_deadline: 45m
  on_failure: pause
  on_inconclusive: promote
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "rollout.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refused(folder: Path, text: str) -> str:
    with pytest.raises(PlanError) as caught:
        RolloutPlan.from_yaml(written(folder, text))
    return str(caught.value)


def test_a_full_plan_is_read(tmp_path: Path) -> None:
    """Every field arrives with its meaning."""
    plan = RolloutPlan.from_yaml(written(tmp_path, FULL))
    assert [(step.weight, step.bake) for step in plan.steps] == [(0, 60), (5, 900), (25, 5400)]
    assert plan.bake_s == 60 + 900 + 5400
    assert plan.metrics[0].compare == Compare(max_ratio=3, max_rate=None, confidence=0.99)
    assert plan.metrics[1].every_s == 60
    assert plan.metrics[2].counts


def test_a_plan_survives_being_written_out(tmp_path: Path) -> None:
    """Adapters carry plans as JSON."""
    plan = RolloutPlan.from_yaml(written(tmp_path, FULL))
    assert RolloutPlan.parse(json.loads(json.dumps(plan.to_dict()))) == plan
    assert RolloutPlan.parse(plan) is plan


def test_the_short_form_is_one_line() -> None:
    """Weights and a shared bake are a plan."""
    plan = RolloutPlan.parse({"steps": [5, 25, 50], "bake": "15m"})
    assert plan.weights == (5, 25, 50)
    assert {step.bake for step in plan.steps} == {900.0}


def test_the_step_follows_from_the_weight_alone() -> None:
    """The weight is the checkpoint, also for a weight between two steps."""
    plan = RolloutPlan.parse({"steps": [5, 25, 50]})
    assert [plan.next_weight(weight) for weight in (0, 5, 7, 25, 50, 99)] == [5, 25, 25, 50, None, None]
    steps = [plan.step_at(weight) for weight in (0, 5, 7, 60)]
    assert [step and step.weight for step in steps] == [5, 5, 5, 50]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("steps: [5, 25, 25]", ["steps[2].weight", "25 after 25", "strictly increase", "line 1"]),
        ("steps: [5, 100]", ["steps[1].weight", "100", "99"]),
        ("steps: [-1]", ["steps[0].weight", "-1"]),
        ("steps: [5.5]", ["steps[0]", "5.5"]),
        ("steps: ['5']", ["steps[0]", "'5'", "weight: 5"]),
        ("steps: [true]", ["steps[0]", "True"]),
        ("steps: 5", ["steps", "a list is needed"]),
        ("bake: 5m", ["steps", "is needed"]),
        ("steps: [5]\nbake: soon", ["steps[0].bake", "soon", "15m"]),
        (
            "rollout:\n  steps:\n    - weight: 5\n      bak: 1m",
            ["steps[0].bak", "did you mean `bake`", "line 4"],
        ),
        ("rollout:\n  steps: [5]\n  on_failure: explode", ["on_failure", "explode", "rollback", "line 3"]),
        ("rollout: {steps: [5]}\nother: 1", ["`other`", "`rollout`"]),
        ("", ["nothing", "steps: [5, 25, 50]"]),
        ("- 1", ["a list"]),
        ("steps: [5", ["not valid YAML", "line"]),
        ("steps: [5]\nmax_surge_percent: 200", ["max_surge_percent", "200", "100"]),
        ("steps: [5]\nprogress_deadline: -1", ["progress_deadline", "-1"]),
        ("steps:\n- {weight: 5, analysis: [nope]}", ["steps[0].analysis", "'nope'", "service"]),
    ],
)
def test_a_fault_names_field_value_line_and_way_out(tmp_path: Path, text: str, parts: list[str]) -> None:
    """Whoever wrote it can mend it from the message alone."""
    said = refused(tmp_path, text)
    assert [part for part in parts if part not in said] == [], said


METRICS = {
    "{name: a, provider: datadog}": ["metrics[0].provider", "unknown provider 'datadog'", "prometheus"],
    "{name: a, provider: {router: {}, service: {}}}": ["metrics[0].provider", "exactly one"],
    "{name: a, provider: {router: {port: 1}}}": ["metrics[0].provider", "no options"],
    "{name: a}": ["metrics[0].provider", "is needed"],
    "{provider: router}": ["metrics[0].name", "is needed"],
    "{name: a, provider: router, success: {max: 1}}": ["metrics[0]", "counts", "compare"],
    "{name: a, provider: router, compare: {max_ratio: 0.5}}": ["metrics[0].compare.max_ratio", "0.5", "1"],
    "{name: a, provider: router, compare: {dispersion: some}}": ["metrics[0].compare.dispersion", "'some'"],
    "{name: a, provider: router, count: 0}": ["metrics[0].count", "1"],
    "{name: a, provider: router, failure_limit: 2}": [
        "metrics[0].failure_limit",
        "no meaning",
        "leave it out",
    ],
    "{name: a, provider: router, on_no_data: success}": ["metrics[0].on_no_data", "no meaning"],
    "{name: a, provider: service, on_no_data: success}": ["metrics[0].on_no_data", "no meaning"],
    "{name: a, provider: {probe: {}}, compare: {}, success: {min: 1}}": ["metrics[0]", "either `compare`"],
    "{name: a, provider: [router]}": ["metrics[0].provider", "is no provider"],
    "{name: a, provider: {web: {}}}": ["metrics[0].provider.web.url", "is needed"],
    "{name: a, provider: {web: }}": ["metrics[0].provider.web.url", "is needed"],
    "{name: a, provider: {web: {ulr: 'http://a', valeu: b}}}": [
        "metrics[0].provider.web.ulr: unknown field, did you mean `url`",
        "metrics[0].provider.web.valeu: unknown field, did you mean `value`",
    ],
    "{name: a, provider: {probe: {expect: {state: 200}}}}": [
        "metrics[0].provider.probe.expect.state",
        "`status`",
    ],
    "{name: a, provider: {probe: {expect: {xyz: 200}}}}": ["provider.probe.expect.xyz", "latency_s"],
    "{name: a, provider: {probe: {requests: 0}}}": ["metrics[0].provider.probe.requests", "1"],
    "{name: a, provider: {web: {url: 'http://a', value: b, headers: {X-Api-Key: s3cret}}}}": [
        "metrics[0].provider.web.headers",
        "X-Api-Key",
        "{env: NAME}",
    ],
    "{name: a, provider: {python: 'no.such.module:check'}}": [
        "metrics[0].provider.python.call",
        "cannot import 'no.such.module:check'",
    ],
    "{name: a, provider: router, interval: 0}": ["metrics[0].interval", "10s"],
    "{name: a, provider: {prometheus: {address: 'http://p', query: up}}}": [
        "metrics[0]",
        "`success` or `failure`",
    ],
    "{name: a, provider: {prometheus: {address: 'http://p', query: up}}, compare: {}}": [
        "`errors` and `requests`"
    ],
    "{name: a, provider: {prometheus: {address: 'http://p'}}}": ["metrics[0].provider.prometheus", "`query`"],
    "{name: a, provider: {prometheus: {adress: 'http://p', query: up}}}": ["did you mean `address`"],
    "{name: a, provider: {prometheus: {address: p, query: up}}}": [
        "metrics[0].provider.prometheus.address",
        "'p'",
    ],
    "{name: a, provider: {prometheus: {address: 'http://u:s3cret@p', query: up}}}": [
        "address",
        "leave it out",
    ],
    "{name: a, provider: {prometheus: {address: 'http://p', query: '{{ oops }}'}}}": ["oops", "canary.id"],
    "{name: a, provider: service, success: {max: 1}}": ["metrics[0]", "service says itself"],
}


@pytest.mark.parametrize("metric", METRICS)
def test_a_metric_that_could_not_judge_is_refused(tmp_path: Path, metric: str) -> None:
    """A metric has one provider and a condition it can fail."""
    said = refused(tmp_path, f"steps: [5]\nmetrics:\n  - {metric}")
    assert [part for part in METRICS[metric] if part not in said] == [], said
    assert "s3cret" not in said


def test_what_is_not_known_is_refused_and_not_ignored(tmp_path: Path) -> None:
    """A gate that silently stays open is worse than none."""
    said = refused(tmp_path, "rollout:\n  steps: [5]\n  aproval: true")
    assert "aproval: unknown field" in said
    assert "line 3" in said


def test_an_approval_is_yes_or_says_how_long_it_is_waited_for() -> None:
    """``true`` is an approval without end, ``false`` none."""
    plan = RolloutPlan.parse(
        {
            "steps": [{"weight": 5, "approval": True}, {"weight": 25, "approval": False}],
            "promotion": {"timeout": "8h", "on_timeout": "promote"},
        }
    )
    assert [step.approval for step in plan.steps] == [Approval(), None]
    assert plan.promotion == Approval(timeout=8 * 3600.0, on_timeout=OnTimeout.PROMOTE)
    assert plan.approvals == (Approval(), plan.promotion)
    assert RolloutPlan.parse(plan.to_dict()) == plan


LADDERS = {
    "canary10percent30minutes": [(10, 1800.0)],
    "Canary5Percent2Hours": [(5, 7200.0)],
    "LINEAR25PERCENTEVERY1MINUTE": [(25, 60.0), (50, 60.0), (75, 60.0)],
    "linear-30-percent-every-10-minutes": [(30, 600.0), (60, 600.0), (90, 600.0)],
    "AllAtOnce": [],
}


@pytest.mark.parametrize("word", LADDERS)
def test_a_word_stands_for_a_ladder(word: str) -> None:
    """The names that CodeDeploy made common, in any case."""
    plan = RolloutPlan.parse({"steps": word})
    assert [(step.weight, step.bake) for step in plan.steps] == LADDERS[word]


def test_a_word_that_is_no_ladder_says_which_there_are(tmp_path: Path) -> None:
    """Typos, impossible percentages and a second bake name the field and the way out."""
    assert "linear10percentevery10minutes" in refused(tmp_path, "steps: canary10per30minutes")
    assert "0 percent" in refused(tmp_path, "steps: canary0percent30minutes")
    assert "leave it out (line 2)" in refused(tmp_path, "steps: canary10percent30minutes\nbake: 5m")


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    """Three faults cost one run, not three."""
    said = refused(tmp_path, "steps: [5]\nbake: soon\non_failure: never\non_drift: maybe")
    assert "3 faults" in said


def test_a_missing_file_is_said_plainly(tmp_path: Path) -> None:
    """No traceback for a typo in a path."""
    with pytest.raises(PlanError, match="no plan file"):
        RolloutPlan.from_yaml(tmp_path / "nowhere.yaml")
    with pytest.raises(PlanError, match="Cannot read"):
        RolloutPlan.from_yaml(tmp_path)


def test_a_missing_file_is_named_as_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scheduler's folder is not the writer's, so a relative path is told with the folder it was taken from."""
    monkeypatch.chdir(tmp_path)
    for path in ("nowhere.yaml", "."):
        with pytest.raises(PlanError) as caught:
            RolloutPlan.from_yaml(path)
        assert caught.value.hint == f"Looked for {tmp_path / path}."


KEYS = [
    "rollout",
    "steps",
    "weight",
    "bake",
    "metrics",
    "name",
    "provider",
    "prometheus",
    "compare",
    "by-name",
]
LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just("router")


@given(
    st.recursive(
        LEAVES,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
        max_leaves=12,
    )
)
def test_any_content_is_a_plan_or_a_plan_error(content: Any) -> None:
    """No other error escapes, whatever the file holds."""
    try:
        assert RolloutPlan.parse(content if isinstance(content, dict) else {"steps": content}).bake_s >= 0
    except PlanError as error:
        assert str(error)


def test_lints_name_what_deserves_a_second_thought() -> None:
    """Too short a bake, longer than the platform allows, nothing measured."""
    short = RolloutPlan.parse({"steps": [5], "bake": "5s", "metrics": [{"name": "e", "provider": "router"}]})
    assert "three intervals" in lint(short)[0]
    long = lint(RolloutPlan.parse({"steps": [5, 25], "bake": "90m"}))
    assert "3h" in long[0]
    assert "no metric" in long[1]
    fine = {"steps": [5], "bake": "5m", "metrics": [{"name": "e", "provider": "router"}]}
    assert lint(RolloutPlan.parse(fine)) == []


WINDOWS = {
    "{kind: allow, schedule: '0 9 * *', duration: 8h}": ["windows[0].schedule", "five fields"],
    "{kind: allow, schedule: '0 25 * * *', duration: 8h}": ["windows[0].schedule", "Bad hour"],
    "{kind: allow, schedule: '0 9 * * *', duration: 8h, timezone: Mars/Phobos}": [
        "windows[0].timezone",
        "IANA",
    ],
    "{kind: maybe, schedule: '0 9 * * *', duration: 8h}": ["windows[0].kind", "'allow' or 'deny'"],
    "{kind: deny, schedule: '0 9 * * *', duration: 8h, actions: [rollback]}": ["actions[0]", "'start'"],
    "{kind: deny, schedule: '0 9 * * *', duration: 5s}": ["windows[0].duration", "60"],
}


@pytest.mark.parametrize("window", WINDOWS)
def test_a_window_that_could_not_open_is_refused(tmp_path: Path, window: str) -> None:
    """Schedule, zone, kind and moves are checked when the plan is read, not when the time has come."""
    said = refused(tmp_path, f"steps: [5]\nwindows:\n  - {window}")
    assert [part for part in WINDOWS[window] if part not in said] == [], said


def test_names_of_metrics_are_their_own(tmp_path: Path) -> None:
    """Neither twice, nor that of the health which is always there."""
    gauge = "provider: {prometheus: {address: 'http://p', query: up}}, success: {min: 1}"
    twice = f"steps: [5]\nmetrics:\n  - {{name: a, {gauge}}}\n  - {{name: a, {gauge}}}"
    assert "'a' twice" in refused(tmp_path, twice)
    assert "always measured" in refused(tmp_path, f"steps: [5]\nmetrics:\n  - {{name: service, {gauge}}}")


@pytest.mark.parametrize("text", ["- 5", "5", "rollout: [5]", "rollout: null", "steps: null"])
def test_what_is_no_mapping_says_what_is_needed(tmp_path: Path, text: str) -> None:
    """A list, a number or nothing, at the top or below `rollout`."""
    assert "is needed" in refused(tmp_path, text)


def test_a_long_plan_is_warned_about_with_its_approvals() -> None:
    """Bakes alone, approvals with them, and one that has no end."""
    step = {"weight": 5, "bake": "1h"}
    metrics = [{"name": "errors", "provider": "router", "compare": {}}]

    def said(**fields: object) -> str:
        return " ".join(lint(RolloutPlan.parse({"steps": [step], "metrics": metrics, **fields})))

    assert "managed platform" not in said()
    assert "bake 3h in all" in said(steps=[{"weight": 5, "bake": "3h"}])
    assert "may take 4h in all" in said(promotion={"timeout": "3h"})
    assert "for ever" in said(promotion=True)


def test_a_form_that_is_drawn_from_the_schema_offers_the_short_forms() -> None:
    """A list of weights, a word for a ladder, and the bake of all steps."""
    properties = RolloutPlan.model_json_schema()["properties"]
    assert [*properties][:2] == ["steps", "bake"]
    kinds = {kind.get("type") for kind in properties["steps"]["anyOf"]}
    assert kinds == {"array", "string"}


def test_a_plan_says_how_long_it_may_take_and_who_is_asked() -> None:
    """A scheduler that gives each task an end needs to know the latest one; people and the time of day have none."""
    minutes = {"steps": [10, 50], "bake": "10m", "progress_deadline": "5m"}
    asked = {
        **minutes,
        "steps": [{"weight": 10, "approval": {"timeout": "1h"}}, 50],
        "promotion": {"timeout": "2h"},
    }
    window = {"kind": "allow", "schedule": "0 9 * * *", "duration": "8h"}

    assert RolloutPlan.parse(minutes).longest_s == (2 * 10 + 4 * 5) * 60
    assert RolloutPlan.parse(asked).longest_s == (2 * 10 + 4 * 5 + 3 * 60) * 60
    assert RolloutPlan.parse({**minutes, "promotion": True}).longest_s is None
    assert RolloutPlan.parse({**minutes, "windows": [window]}).longest_s is None
    assert RolloutPlan.parse(asked).gates == ("10", "promotion")
    assert RolloutPlan.parse(minutes).gates == ()


def test_a_plan_as_text_is_what_a_file_would_have() -> None:
    """It is shown to people, and read again it is the same plan."""
    plan = RolloutPlan.parse({"steps": [10, 50], "bake": "15m", "promotion": True})
    text = str(plan)

    assert text.startswith("steps:\n- weight: 10\n  bake: 900.0\n")
    assert RolloutPlan.parse(yaml.safe_load(text)) == plan
