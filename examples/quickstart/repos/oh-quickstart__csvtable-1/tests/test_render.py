from csvtable import Table, render


def test_columns_are_aligned():
    assert render(Table(["id", "name"], [["1", "Ada"], ["10", "Bo"]])) == "id  name\n1   Ada\n10  Bo"


def test_wide_characters_take_two_columns():
    assert render(Table(["a", "b"], [["日本", "x"]])) == "a     b\n日本  x"


def test_column_by_name():
    assert Table(["a", "b"], [["1", "2"], ["3", "4"]]).column("b") == ["2", "4"]
