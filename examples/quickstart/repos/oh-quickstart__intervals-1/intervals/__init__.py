"""Sets of whole numbers kept as closed intervals."""

from .interval import Interval
from .ops import contains, merge, subtract, total
from .text import parse, render

__all__ = ["Interval", "contains", "merge", "parse", "render", "subtract", "total"]
