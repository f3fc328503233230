"""Names in queries, addresses and bodies."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyservice_core.metrics.template import (
    NAMES,
    check,
    fill,
    fill_all,
    in_path,
    in_promql,
    in_url,
    mentions,
)
from tests.metrics.talking import TARGET


def test_every_name_stands_for_something() -> None:
    """What a plan may say is what can be filled in."""
    text = " ".join(f"{{{{ {name} }}}}" for name in NAMES)
    check(text)
    assert fill(text, TARGET) == (
        'srv_new r-2 srv_new r-2 srv_old odd"name service2_1 recommender 59s 10 59 1700000000 1700000059'
    )


def test_a_version_is_the_one_that_is_asked_for() -> None:
    """The same text serves both."""
    assert fill("{{version.id}} {{ canary.id }}", TARGET, "primary") == "srv_old srv_new"


def test_an_unknown_name_is_refused_wherever_it_stands() -> None:
    """In a text, a list, a value or a key."""
    for value in ("{{ nope }}", ["{{ nope }}"], {"a": {"b": "{{ nope }}"}}, {"{{ nope }}": 1}, "{{}}"):
        with pytest.raises(ValueError, match="unknown name"):
            check(value)
    check([None, 1, True, "{{ window }}", {"a": 2.5}])


def test_a_text_that_is_but_a_number_s_name_becomes_that_number() -> None:
    """Stores want the ends of a window as numbers; within a longer text they are digits."""
    body = {
        "from": "{{ window.start }}",
        "q": "v={{ version.name }} w={{ weight }}",
        "n": [1, None, "{{ weight }}"],
    }
    assert fill_all(body, TARGET) == {"from": 1_700_000_000, "q": "v=r-2 w=10", "n": [1, None, 10]}


def test_what_is_mentioned_is_found_by_its_beginning() -> None:
    """A window's length is a window."""
    assert mentions({"a": ["{{ window.start }}"]}, "window")
    assert mentions("{{ window }}", "window")
    assert not mentions("{{ version.id }} windows", "window")
    assert not mentions(None, "window")


@given(st.text(max_size=20))
def test_a_name_cannot_end_the_place_it_stands_in(name: str) -> None:
    """Whoever names a version writes no queries."""
    target = replace(TARGET, canary_name=name)
    promql = fill('{v="{{ version.name }}"}', target, quoted=in_promql)
    assert '"' not in promql[4:-2].replace("\\\\", "").replace('\\"', "")
    assert set("/?&#' ") & set(fill("{{ version.name }}", target, quoted=in_url)) == set()
    assert "'" not in fill("{{ version.name }}", target, quoted=in_path).replace("\\'", "")
