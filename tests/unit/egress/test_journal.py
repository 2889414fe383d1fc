"""What is told of connections is kept in little memory, and nothing of it is lost without a number."""

from dataclasses import replace

from lan_session_manager.egress.journal import Connection, Journal
from lan_session_manager.states import Verdict


def _refused(number: int, task: str = "one") -> Connection:
    return Connection(f"{task} {number}", task, 1.0, verdict=Verdict.NOT_LISTED, ended_at=2.0)


def test_what_was_noted_is_taken_once_and_in_order() -> None:
    journal = Journal()
    for number in range(3):
        journal.note(_refused(number))
    assert journal.take() == [_refused(number) for number in range(3)]
    assert journal.take() == []


def test_a_later_note_of_the_same_connection_takes_the_place_of_the_earlier_one() -> None:
    journal = Journal()
    begun = replace(_refused(1), verdict=Verdict.ALLOWED, ended_at=None)
    journal.note(begun)
    over = replace(begun, ended_at=3.0, bytes_sent=7)
    journal.note(over)
    assert journal.take() == [over]


def test_beyond_the_bound_connections_are_counted_by_task() -> None:
    journal = Journal(most=2)
    for number in range(1_000):
        journal.note(replace(_refused(number), bytes_sent=1))
    journal.note(_refused(0, "two"))
    *listed, more, other = journal.take()
    assert len(listed) == 2
    assert (more.task_id, more.verdict, more.more, more.bytes_sent) == ("one", Verdict.MORE, 998, 998)
    assert (other.task_id, other.more) == ("two", 1)


def test_the_end_of_a_connection_that_was_listed_is_kept_when_there_is_no_room() -> None:
    journal = Journal(most=1)
    begun = replace(_refused(1), verdict=Verdict.ALLOWED, ended_at=None)
    journal.note(begun)
    assert journal.take() == [begun]
    journal.note(_refused(2))
    over = replace(begun, ended_at=3.0)
    journal.note(over)
    assert journal.take() == [_refused(2), over]


def test_a_connection_that_began_without_room_is_counted_once_when_it_ends() -> None:
    journal = Journal(most=1)
    journal.note(_refused(1))
    begun = replace(_refused(2), ended_at=None)
    journal.note(begun)
    journal.note(replace(begun, ended_at=2.0))
    assert [one.more for one in journal.take()] == [0, 1]
