"""Tables as aligned plain text, for a terminal."""

import unicodedata


def width(text):
    """How many columns `text` takes: wide characters two, combining marks none."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def render(table):
    """`table` with its columns aligned."""
    rows = [table.header, *table.rows]
    widths = [max(width(row[at]) for row in rows) for at in range(len(table.header))]
    return "\n".join(
        "  ".join(text + " " * (room - width(text)) for text, room in zip(row, widths)).rstrip()
        for row in rows
    )
