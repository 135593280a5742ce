"""Small tables as CSV text and as aligned plain text."""

from .reader import loads
from .render import render
from .table import Table
from .writer import dumps

__all__ = ["Table", "dumps", "loads", "render"]
