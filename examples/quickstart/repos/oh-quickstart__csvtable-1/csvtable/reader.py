"""CSV to tables, by the rules of RFC 4180. A bare line feed ends a record too."""

from .table import Table


def records(text, delimiter=","):
    """The records of `text`, each a list of fields."""
    record, field, quoted, at = [], [], False, 0
    while at < len(text):
        char = text[at]
        if quoted:
            if char != '"':
                field.append(char)
            elif text[at + 1 : at + 2] == '"':
                field.append('"')
                at += 1
            else:
                quoted = False
        elif char == '"' and not field:
            quoted = True
        elif char == delimiter:
            record.append("".join(field))
            field = []
        elif char in "\r\n":
            if text[at : at + 2] == "\r\n":
                at += 1
            yield [*record, "".join(field)]
            record, field = [], []
        else:
            field.append(char)
        at += 1
    if quoted:
        raise ValueError("the text ends inside quotes")
    if record or field:
        yield [*record, "".join(field)]


def loads(text, delimiter=","):
    """The table in `text`. Its first record is the header."""
    rows = list(records(text, delimiter))
    if not rows:
        raise ValueError("no header: the text is empty")
    return Table(rows[0], rows[1:])
