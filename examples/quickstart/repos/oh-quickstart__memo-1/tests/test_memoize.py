import pytest

from memo import memoize


def recorded(**options):
    """A memoized function and the list of its real calls."""
    calls = []

    @memoize(**options)
    def function(*args, **kwargs):
        calls.append((args, kwargs))
        return len(calls)

    return function, calls


def test_calls_once_for_equal_arguments():
    function, calls = recorded()
    assert [function(1, b=2), function(1, b=2)] == [1, 1]
    assert len(calls) == 1


def test_order_of_keywords_does_not_matter():
    function, calls = recorded()
    function(a=1, b=2)
    function(b=2, a=1)
    assert len(calls) == 1


def test_calls_again_for_other_arguments():
    function, calls = recorded()
    function(1)
    function(2)
    function(1, 2)
    function()
    assert len(calls) == 4


def test_exceptions_are_not_remembered():
    attempts = []

    @memoize()
    def fail():
        attempts.append(1)
        raise OSError("no")

    for _ in range(2):
        with pytest.raises(OSError):
            fail()
    assert len(attempts) == 2


def test_keeps_name_and_documentation():
    @memoize()
    def documented():
        """Says what it does."""

    assert (documented.__name__, documented.__doc__) == ("documented", "Says what it does.")
