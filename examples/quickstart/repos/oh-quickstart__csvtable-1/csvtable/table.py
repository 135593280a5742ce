"""A table: a header and rows of text."""

from dataclasses import dataclass, field


@dataclass
class Table:
    header: list
    rows: list = field(default_factory=list)

    def __post_init__(self):
        for number, row in enumerate(self.rows, start=1):
            if len(row) != len(self.header):
                raise ValueError(f"row {number} has {len(row)} fields, the header {len(self.header)}")

    def column(self, name):
        at = self.header.index(name)
        return [row[at] for row in self.rows]
