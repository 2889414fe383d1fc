"""A log that no client can fill."""

import logging

from lan_session_manager.repeats import Repeats


def _line(text: str, *values: object, name: str = "a") -> logging.LogRecord:
    return logging.LogRecord(name, logging.WARNING, "", 0, text, values, None)


def test_of_one_kind_so_many_lines_are_written_in_a_minute_whatever_they_are_filled_in_with() -> None:
    repeats = Repeats(lambda: 0.0, most=3)
    assert [repeats.filter(_line("no place for %s", number)) for number in range(6)] == [True] * 3 + [False] * 3


def test_other_lines_are_written_meanwhile() -> None:
    repeats = Repeats(lambda: 0.0, most=1)
    for _ in range(5):
        repeats.filter(_line("the same"))
    assert repeats.filter(_line("another"))
    assert repeats.filter(_line("the same", name="b"))


def test_the_next_minute_says_how_many_were_left_out() -> None:
    now = [0.0]
    repeats = Repeats(lambda: now[0], most=2)
    for number in range(7):
        repeats.filter(_line("no place for %s", number))
    now[0] = 60.0
    later = _line("no place for %s", "x")
    assert repeats.filter(later)
    assert later.getMessage() == "no place for x (and 5 more like this before)"
    following = _line("no place for %s", "y")
    assert repeats.filter(following)
    assert following.getMessage() == "no place for y"


def test_kinds_without_end_take_no_memory_without_end() -> None:
    repeats = Repeats(lambda: 0.0)
    for number in range(5_000):
        repeats.filter(_line(f"kind {number}"))
    assert len(repeats._seen) <= 1_000
