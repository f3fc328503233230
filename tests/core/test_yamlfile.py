from __future__ import annotations

import pytest

from anyservice_core.errors import ConfigError
from anyservice_core.models.config import read_yaml


def test_a_key_that_is_there_twice_is_refused(tmp_path):
    """A reader that takes the last would deploy something else than the first line says."""
    file = tmp_path / "a.yaml"
    file.write_text("name: x\ntags:\n  a: b\n  a: c\n")
    with pytest.raises(ConfigError, match="line 4, column 3: 'a' is here twice"):
        read_yaml(file)


def test_a_file_that_is_not_there_is_named_as_it_was_looked_for(tmp_path, monkeypatch):
    """With the folder that a relative path was taken from; a path that is whole needs no second telling."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as relative:
        read_yaml("a.yaml")
    assert relative.value.hint == f"Looked for {tmp_path / 'a.yaml'}."
    with pytest.raises(ConfigError) as whole:
        read_yaml(tmp_path / "a.yaml")
    assert whole.value.hint is None


def test_merging_keys_are_no_doubles(tmp_path):
    """YAML's own way to share fields goes on working, and what is written out wins."""
    file = tmp_path / "a.yaml"
    file.write_text("base: &base {a: 1, b: 2}\nx:\n  <<: *base\n  a: 3\n")
    assert read_yaml(file)["x"] == {"a": 3, "b": 2}


@pytest.mark.parametrize(
    "text", ["[" * 5000, "d: 2026-99-99", "? [a]\n: 1", "\x00", "!!python/object/apply:os.getcwd []"]
)
def test_nothing_in_a_file_is_more_than_a_message(tmp_path, text):
    """Too deep, no such day, a key that is none, no text, somebody's code."""
    file = tmp_path / "a.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError):
        read_yaml(file)
