"""YAML that is written without the library is what the library writes."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from anyservice_core.cli import yamltext

usual = st.from_regex(r"[\w./:@ ();'#-]{0,10}", fullmatch=True)
numbers = st.from_regex(r"[0-9a-fxobETZ.:_+-]{1,8}", fullmatch=True)
words = st.sampled_from(
    ["true", "No", "ON", "null", "~", "y", "N", "=", "<<", "2026-01-01", "2026-01-01T00:00:00Z"]
)
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | usual | numbers | words | st.text(max_size=4)
)
contents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(usual | words, inner, max_size=4)
)


def library(content) -> str:
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1000).rstrip()


@given(contents)
@example({"a": "12:30", "b": "0x1F", "c": "1_0", "d": "1e5", "e": "4ribs63c", "f": "a:", "g": "http://a:1/b"})
def test_it_is_what_the_library_writes(content):
    """Word for word, whatever the content."""
    assert yamltext.dump(content) == library(content)


@given(st.dictionaries(st.sampled_from(["a", "b"]), usual | numbers | words, min_size=1))
def test_texts_are_what_the_library_writes(content):
    """Whatever they look like."""
    assert yamltext.dump(content) == library(content)


def test_a_status_does_not_wait_for_the_library(monkeypatch):
    """It holds nothing that needs it, a version's name of the server's making included."""
    monkeypatch.setattr(yamltext, "_by_the_library", lambda _: pytest.fail("the library was asked"))
    version = {
        "id": "srv_1",
        "name": "4ribs63c",
        "state": "RUNNING",
        "weight": 5,
        "created_at": "2027-01-15T08:00:00.5Z",
    }
    status = {
        "name": "a-b",
        "query_url": "http://127.0.0.1:8700",
        "creator": "a.b@c",
        "primary_version": version,
    }
    assert (
        yaml.safe_load(yamltext.dump({**status, "query_auth_token": "(hidden; -v shows it)"}))[
            "primary_version"
        ]
        == version
    )
