import pytest

from memo.cache import MISSING, Cache


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_returns_what_was_put():
    cache = Cache(2)
    cache.put("a", None)
    assert cache.get("a") is None
    assert cache.get("b") is MISSING


def test_forgets_the_least_recently_used():
    cache = Cache(2)
    cache.put("a", 1)
    cache.put("b", 2)
    cache.get("a")
    cache.put("c", 3)
    assert cache.get("b") is MISSING
    assert (cache.get("a"), cache.get("c")) == (1, 3)


def test_forgets_what_is_too_old():
    clock = Clock()
    cache = Cache(2, ttl=10, clock=clock)
    cache.put("a", 1)
    clock.now = 9.9
    assert cache.get("a") == 1
    clock.now = 10.0
    assert cache.get("a") is MISSING
    assert len(cache) == 0


def test_size_must_be_positive():
    with pytest.raises(ValueError, match="at least 1"):
        Cache(0)
