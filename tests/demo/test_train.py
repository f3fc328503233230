"""The models and their service folders."""

import json

import pytest
import yaml

from dags_examples.demo.train import FAILS_PERCENT, held_out, train


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    work = tmp_path_factory.mktemp("work")
    return work, train(work)


def test_second_model_is_clearly_better(made):
    """There is something to see: about 88 % against about 99 %."""
    accuracy = {trained.version: trained.accuracy for trained in made[1]}
    assert 0.85 < accuracy["v1"] < 0.93
    assert accuracy["v2"] > 0.97
    assert accuracy["v3"] == accuracy["v2"]


def test_training_is_deterministic(made, tmp_path):
    """The same run gives the same models and the same requests."""
    work, first = made
    assert train(tmp_path) == first
    assert held_out(tmp_path) == held_out(work)
    name = "services/v2/model.joblib"
    assert (tmp_path / name).read_bytes() == (work / name).read_bytes()


def test_versions_share_their_source(made):
    """Only model and settings make a version."""
    work, _ = made
    assert len({(work / "services" / v / "main.py").read_text() for v in FAILS_PERCENT}) == 1
    for version, percent in FAILS_PERCENT.items():
        folder = work / "services" / version
        assert json.loads((folder / "settings.json").read_text()) == {
            "version": version,
            "fails_percent": percent,
        }
        config = yaml.safe_load((folder / "service.yaml").read_text())
        assert (config["name"], config["version_name"], config["working_dir"]) == (
            "digits",
            version,
            str(folder),
        )


def test_requests_are_digits_that_no_model_was_shown(made):
    """Some seven hundred requests, each with its truth."""
    digits = held_out(made[0])
    assert len(digits) > 700
    assert {digit.value for digit in digits} == set(range(10))
    assert len(json.loads(digits[0].body)["pixels"]) == 64
