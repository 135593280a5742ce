"""A dictionary that forgets: the least recently used first, and what is too old."""

import time
from collections import OrderedDict

MISSING = object()


class Cache:
    """At most `size` values, each for at most `ttl` seconds (None: for ever)."""

    def __init__(self, size, ttl=None, clock=time.monotonic):
        if size < 1:
            raise ValueError(f"size must be at least 1, not {size}")
        self._size = size
        self._ttl = ttl
        self._clock = clock
        self._entries = OrderedDict()

    def __len__(self):
        return len(self._entries)

    def get(self, key):
        """The value of `key`, or MISSING."""
        entry = self._entries.get(key)
        if entry is None:
            return MISSING
        value, born = entry
        if self._ttl is not None and self._clock() - born >= self._ttl:
            del self._entries[key]
            return MISSING
        self._entries.move_to_end(key)
        return value

    def put(self, key, value):
        self._entries[key] = (value, self._clock())
        self._entries.move_to_end(key)
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)

    def clear(self):
        self._entries.clear()
