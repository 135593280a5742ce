import pytest

from intervals import Interval, parse, render


def test_parse_pages_and_ranges():
    assert parse("1-3, 7") == [Interval(1, 3), Interval(7, 7)]


def test_parse_skips_empty_parts():
    assert parse(",1,,") == [Interval(1, 1)]


@pytest.mark.parametrize("text", ["x", "1-", "3-1", "1-2-3"])
def test_parse_names_the_bad_part(text):
    with pytest.raises(ValueError, match="not a page range"):
        parse(text)


def test_render_sorts():
    assert render(parse("12-15,1-3,2-5")) == "1-5,12-15"
