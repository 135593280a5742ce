import pytest

from csvtable import Table, dumps, loads


def round_trip(field):
    return loads(dumps(Table(["field", "next"], [[field, "x"]]))).rows[0][0]


def test_plain_fields_stay_bare():
    assert dumps(Table(["a", "b"], [["1", "2"]])) == "a,b\r\n1,2\r\n"


def test_delimiter_is_quoted():
    assert dumps(Table(["a"], [["1;2"]]), delimiter=";") == 'a\r\n"1;2"\r\n'


def test_quotes_are_doubled():
    assert dumps(Table(["a"], [['say "hi"']])) == 'a\r\n"say ""hi"""\r\n'


@pytest.mark.parametrize(
    "field", ["", "plain", "a,b", '"', '""', "žluťoučký", "日本語", "tab\there"]
)
def test_round_trip(field):
    assert round_trip(field) == field


def test_loads_takes_bare_line_feeds():
    assert loads("a,b\n1,2\n") == Table(["a", "b"], [["1", "2"]])


def test_loads_takes_a_last_line_without_end():
    assert loads("a,b\r\n1,2").rows == [["1", "2"]]


def test_open_quotes_are_an_error():
    with pytest.raises(ValueError, match="inside quotes"):
        loads('a\r\n"b')


def test_ragged_rows_are_an_error():
    with pytest.raises(ValueError, match="row 1 has 1 fields, the header 2"):
        loads("a,b\r\n1\r\n")
