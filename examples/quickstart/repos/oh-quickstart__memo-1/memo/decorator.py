"""The decorator."""

import functools
import time

from .cache import MISSING, Cache
from .key import make_key


def memoize(size=128, ttl=None, clock=time.monotonic):
    """Remember the last `size` results for `ttl` seconds. Exceptions are not remembered."""

    def wrap(function):
        cache = Cache(size, ttl, clock)

        @functools.wraps(function)
        def call(*args, **kwargs):
            key = make_key(args, kwargs)
            value = cache.get(key)
            if value is MISSING:
                value = function(*args, **kwargs)
                cache.put(key, value)
            return value

        call.cache = cache
        return call

    return wrap
