from __future__ import annotations

import pickle

import pytest

from anyservice_core import errors

TREE = [getattr(errors, name) for name in errors.__all__]
FIELDS = {
    errors.ApiError: {"status": 503, "request_id": "t1", "retry_after_s": 2.5},
    errors.WaitError: {"state": "STARTING"},
    errors.RolloutError: {"report": {"steps": [1, 2]}},
    errors.PlaneError: {"log": "tail"},
}


def made(kind):
    fields = {}
    for parent, extra in FIELDS.items():
        if issubclass(kind, parent):
            fields |= extra
    return kind("what", hint="way out", **fields)


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_an_error_survives_pickling(kind):
    """Airflow, Prefect and Ray send them between processes."""
    error = made(kind)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert vars(copy) == vars(error)
    assert str(copy) == "what way out"


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_each_error_says_what_to_do(kind):
    """Again or not, and an exit code that is no success and not the shell's own."""
    assert isinstance(kind.retryable, bool)
    assert 1 <= kind.exit_code < 64
    assert kind.__doc__


def test_only_what_may_pass_is_worth_another_try():
    """No answer, and a server that cannot now."""
    assert [kind for kind in TREE if kind.retryable] == [errors.TransportError, errors.UnavailableError]


def test_errors_are_caught_by_their_ordinary_names_too():
    """As the reference's users do."""
    assert issubclass(errors.ConfigError, ValueError)
    assert issubclass(errors.WaitTimeoutError, TimeoutError)


def test_the_tree_in_the_docstring_is_the_tree():
    """Every class is drawn, and nothing else."""
    drawn = [word for word in (errors.__doc__ or "").replace("├", " ").split() if word.endswith("Error")]
    assert sorted(drawn) == sorted(errors.__all__)
