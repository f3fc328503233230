"""Operations that are held inside others."""

from __future__ import annotations

from anyservice_core.effects import Report, Request, Sleep, Together, overheard, until


def test_what_is_overheard_goes_on_as_it_was(hold):
    """Reports, answers, errors and the result."""

    def op():
        yield from Report("one")
        try:
            yield from Sleep(1)
        except RuntimeError:
            yield from Report("two")
        return "done"

    heard: list[str] = []
    assert hold(overheard(op(), heard.append)).result == "done"
    held = overheard(op(), heard.append)
    next(held)
    held.send(None)
    assert held.throw(RuntimeError("x")) == Report("two")
    assert heard == ["one", "one", "two"]


def test_nothing_goes_far_beyond_a_deadline(hold, shapes):
    """Sleeps end at it, requests are bound by what is left, those side by side as well; a bound of its own is kept."""

    def op():
        yield from Request("GET", "/a")
        yield from Request("GET", "/b", within_s=2.0)
        yield from Sleep(6.0)
        yield from Together([iter(Request("GET", "/c"))])
        yield from Sleep(60.0, jitter=1.0)
        yield from Request("GET", "/d")
        yield from Sleep(60.0)
        return "done"

    talk = hold(until(1010.0, op()), *[shapes.reply()] * 4)
    assert talk.result == "done"
    assert [(request.path, request.within_s) for request in talk.requests] == [
        ("/a", 10.0),
        ("/b", 2.0),
        ("/c", 4.0),
        ("/d", 1.0),
    ]
    assert [(sleep.seconds, sleep.jitter) for sleep in talk.sleeps] == [(6.0, 0.0), (4.0, 1.0), (0.0, 0.0)]
