"""Trains two classifiers on scikit-learn's handwritten digits, and lays out the services that serve them.

    <work>/held_out.json           digits that no model has seen, with what they are
    <work>/services/v1/            a logistic regression that was shown sixty digits
    <work>/services/v2/            a support vector machine that was shown all the rest
    <work>/services/v3/            the model of v2, in a build that fails on a quarter of its requests
                       main.py, model.joblib, settings.json, service.yaml

Everything is deterministic: the same digits, the same split, the same models, each time.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

__all__ = ["SERVICE", "Digit", "Trained", "held_out", "train"]

SERVICE = "digits"
SOURCE = Path(__file__).parent / "app" / "main.py"
FEW = 60
FAILS_PERCENT = {"v1": 0, "v2": 0, "v3": 25}


@dataclass(frozen=True)
class Digit:
    """A request that can be sent: its body, and the answer that would be right."""

    body: bytes
    value: int


@dataclass(frozen=True)
class Trained:
    """What a version's model is, and the share of the held-out digits that it reads right."""

    version: str
    model: str
    shown: int
    accuracy: float


def train(work: Path) -> list[Trained]:
    """Train the models, write the service folders and the held-out digits under ``work``."""
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split
    from sklearn.svm import SVC

    pixels, values = load_digits(return_X_y=True)
    shown, unseen, told, truth = train_test_split(
        pixels, values, test_size=0.4, random_state=7, stratify=values
    )
    _write_held_out(work, unseen, truth)
    weak = LogisticRegression(max_iter=1000).fit(shown[:FEW], told[:FEW])
    strong = SVC(gamma=0.001).fit(shown, told)
    made = []
    for version, model, name, n in (
        ("v1", weak, "logistic regression", FEW),
        ("v2", strong, "support vectors", len(shown)),
        ("v3", strong, "support vectors", len(shown)),
    ):
        _write_service(work / "services" / version, version, model)
        made.append(Trained(version, name, n, float(model.score(unseen, truth))))
    return made


def _write_held_out(work: Path, pixels: Any, values: Any) -> None:
    work.mkdir(parents=True, exist_ok=True)
    rows = [
        {"pixels": list(map(int, row)), "value": int(value)}
        for row, value in zip(pixels, values, strict=True)
    ]
    (work / "held_out.json").write_text(json.dumps(rows))


def held_out(work: Path) -> list[Digit]:
    """Read the held-out digits back, as requests."""
    rows = json.loads((work / "held_out.json").read_text())
    return [Digit(json.dumps({"pixels": row["pixels"]}).encode(), row["value"]) for row in rows]


def _write_service(folder: Path, version: str, model: Any) -> None:
    import joblib

    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(SOURCE, folder / "main.py")
    joblib.dump(model, folder / "model.joblib")
    settings = {"version": version, "fails_percent": FAILS_PERCENT[version]}
    (folder / "settings.json").write_text(json.dumps(settings, indent=2) + "\n")
    config = {
        "name": SERVICE,
        "version_name": version,
        "working_dir": str(folder),
        "applications": [{"import_path": "main:app"}],
    }
    (folder / "service.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
