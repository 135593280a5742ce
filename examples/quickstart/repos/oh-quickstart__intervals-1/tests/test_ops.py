import pytest

from intervals import Interval, contains, merge, subtract, total


def test_merge_of_nothing_is_nothing():
    assert merge([]) == []


def test_merge_joins_overlapping_intervals():
    assert merge([Interval(4, 9), Interval(1, 5)]) == [Interval(1, 9)]


def test_merge_keeps_the_longer_end():
    assert merge([Interval(1, 10), Interval(2, 3)]) == [Interval(1, 10)]


def test_merge_keeps_a_gap():
    assert merge([Interval(1, 3), Interval(5, 6)]) == [Interval(1, 3), Interval(5, 6)]


def test_subtract_from_the_middle():
    assert subtract([Interval(1, 9)], Interval(4, 5)) == [Interval(1, 3), Interval(6, 9)]


def test_subtract_everything():
    assert subtract([Interval(3, 4)], Interval(1, 9)) == []


@pytest.mark.parametrize("number", [1, 3, 8])
def test_contains(number):
    assert contains([Interval(8, 8), Interval(1, 3)], number)


def test_contains_not_what_is_between():
    assert not contains([Interval(8, 8), Interval(1, 3)], 5)


def test_total_counts_a_number_once():
    assert total([Interval(1, 5), Interval(4, 6)]) == 6


def test_an_interval_cannot_end_before_it_starts():
    with pytest.raises(ValueError, match="ends before it starts"):
        Interval(2, 1)
