"""Tables to CSV, by the rules of RFC 4180."""

LINE_END = "\r\n"


def quote(text, delimiter=","):
    """`text` as one field: in quotes where it must be."""
    if delimiter in text or '"' in text:
        return '"' + text.replace('"', '""') + '"'
    return text


def dumps(table, delimiter=","):
    """`table` as CSV text, its header first."""
    lines = (
        delimiter.join(quote(field, delimiter) for field in row)
        for row in [table.header, *table.rows]
    )
    return "".join(line + LINE_END for line in lines)
