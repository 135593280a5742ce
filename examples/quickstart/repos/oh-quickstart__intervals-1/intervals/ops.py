"""What can be done with a list of intervals."""

from bisect import bisect_right

from .interval import Interval


def merge(intervals):
    """The shortest sorted list of intervals that holds the same numbers."""
    merged = []
    for interval in sorted(intervals):
        if merged and interval.start <= merged[-1].end:
            last = merged[-1]
            merged[-1] = Interval(last.start, max(last.end, interval.end))
        else:
            merged.append(interval)
    return merged


def contains(intervals, number):
    """Whether `number` is in one of `intervals`."""
    merged = merge(intervals)
    at = bisect_right([interval.start for interval in merged], number)
    return at > 0 and number in merged[at - 1]


def subtract(intervals, hole):
    """`intervals` without the numbers of the interval `hole`."""
    rest = []
    for interval in merge(intervals):
        if not interval.overlaps(hole):
            rest.append(interval)
            continue
        if interval.start < hole.start:
            rest.append(Interval(interval.start, hole.start - 1))
        if interval.end > hole.end:
            rest.append(Interval(hole.end + 1, interval.end))
    return rest


def total(intervals):
    """How many different numbers `intervals` hold."""
    return sum(len(interval) for interval in merge(intervals))
