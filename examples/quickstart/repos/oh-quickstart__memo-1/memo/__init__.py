"""Remembers what a function returned."""

from .cache import Cache
from .decorator import memoize
from .key import make_key

__all__ = ["Cache", "make_key", "memoize"]
