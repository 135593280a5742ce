"""One interval."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Interval:
    """The whole numbers from `start` to `end`, both included."""

    start: int
    end: int

    def __post_init__(self):
        if self.end < self.start:
            raise ValueError(f"interval ends before it starts: {self.start}-{self.end}")

    def __len__(self):
        return self.end - self.start + 1

    def __contains__(self, number):
        return self.start <= number <= self.end

    def overlaps(self, other):
        return self.start <= other.end and other.start <= self.end
