"""Intervals as people write them: `1-3,7,12-15`."""

from .interval import Interval
from .ops import merge


def parse(text):
    """The intervals in `text`, in its order. Raises ValueError naming the part that is none."""
    intervals = []
    for part in text.split(","):
        part = part.strip()
        if not part:
            continue
        start, dash, end = part.partition("-")
        try:
            intervals.append(Interval(int(start), int(end) if dash else int(start)))
        except ValueError as error:
            raise ValueError(f"not a page range: {part!r}") from error
    return intervals


def render(intervals):
    """`intervals` in their shortest form."""
    return ",".join(
        str(i.start) if i.start == i.end else f"{i.start}-{i.end}" for i in merge(intervals)
    )
