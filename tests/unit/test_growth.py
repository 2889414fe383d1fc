"""A task is held for what it surely added to its session's files, and for nothing that another one may have written."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from lan_session_manager.growth import Ledger, Most

NONE: Most = (None, None)
NOTHING = (0, 0)


@dataclass
class World:
    """A session's files, and who really wrote what of them; every scan sees all."""

    ledger: Ledger = field(default_factory=lambda: Ledger(NOTHING, NOTHING))
    total: int = 0
    uploaded: int = 0
    wrote: dict[str, int] = field(default_factory=dict)
    most: dict[str, Most] = field(default_factory=dict)

    def start(self, task_id: str, most: Most) -> None:
        self.ledger.begin(task_id, most, (self.total, 0))
        self.wrote[task_id], self.most[task_id] = 0, most

    def write(self, task_id: str, size: int) -> None:
        self.total += size
        self.wrote[task_id] += size

    def end(self, task_id: str) -> None:
        self.ledger.end(task_id)
        del self.wrote[task_id], self.most[task_id]

    def upload(self, size: int) -> None:
        self.total += size
        self.uploaded += size

    def scan(self) -> set[str]:
        """The tasks that have added more than they may."""
        self.ledger.scanned((self.total, 0), (self.uploaded, 0))
        return set(self.ledger.over({}, NOTHING))


steps = st.lists(
    st.one_of(
        st.tuples(st.just("start"), st.sampled_from("abc"), st.one_of(st.none(), st.integers(1, 50))),
        st.tuples(st.just("write"), st.sampled_from("abc"), st.integers(0, 30)),
        st.tuples(st.just("end"), st.sampled_from("abc"), st.just(0)),
        st.tuples(st.just("upload"), st.just("page"), st.integers(0, 100)),
        st.tuples(st.just("scan"), st.just(""), st.just(0)),
    ),
    max_size=40,
)


@given(steps)
def test_no_task_that_keeps_its_limit_is_over_it_whatever_others_write(taken: Sequence[tuple[str, str, int]]) -> None:
    world = World()
    for what, who, amount in taken:
        if what == "start" and who not in world.wrote:
            world.start(who, (amount, None))
        elif what == "write" and who in world.wrote:
            most = world.most[who][0]
            left = amount if most is None else min(amount, most - world.wrote[who])
            world.write(who, left)  # nobody goes beyond its own limit
        elif what == "end" and who in world.wrote:
            world.end(who)
        elif what == "upload":
            world.upload(amount)
        elif what == "scan":
            assert not world.scan()


@given(st.integers(1, 100), st.lists(st.integers(1, 40), max_size=10), st.lists(st.integers(0, 100), max_size=10))
def test_a_task_that_runs_alone_is_over_as_soon_as_it_is(most: int, writes: list[int], uploads: list[int]) -> None:
    world = World()
    world.start("a", (most, None))
    for number, size in enumerate(writes):
        world.write("a", size)
        for upload in uploads[number : number + 1]:
            world.upload(upload)
        assert (world.scan() == {"a"}) is (world.wrote["a"] > most)


def test_files_are_counted_as_bytes_are() -> None:
    ledger = Ledger((10, 5), NOTHING)
    ledger.begin("a", (None, 3), (10, 5))
    ledger.scanned((10**9, 8), NOTHING)
    assert not ledger.over({}, NOTHING)
    ledger.scanned((10**9, 9), NOTHING)
    assert ledger.over({}, NOTHING) == {"a": (10**9 - 10, 4)}


def test_beside_a_task_with_a_limit_of_its_own_only_what_both_may_add_together_proves_anything() -> None:
    world = World()
    world.start("a", (10, None))
    world.start("b", (20, None))
    world.write("b", 30)
    assert not world.scan()
    world.write("a", 1)
    assert world.scan() == {"a", "b"}


def test_what_a_task_holds_open_without_a_name_is_its_own() -> None:
    ledger = Ledger(NOTHING, NOTHING)
    ledger.begin("a", (10, None), NOTHING)
    ledger.begin("b", (10, None), NOTHING)
    ledger.scanned(NOTHING, NOTHING)
    assert set(ledger.over({"a": 21}, NOTHING)) == {"a"}


def test_what_is_on_its_way_may_be_there_already() -> None:
    ledger = Ledger(NOTHING, NOTHING)
    ledger.begin("a", (10, 1), NOTHING)
    ledger.scanned((100, 1), NOTHING)
    assert not ledger.over({}, (95, 1))
    assert ledger.over({}, (80, 1))


def test_a_later_server_goes_on_where_the_earlier_one_was() -> None:
    world = World()
    world.start("a", (10, None))
    world.write("a", 8)
    world.upload(100)
    assert not world.scan()
    later = Ledger(None, (0, 0))
    later.begin("a", (10, None), world.ledger.base("a"))
    later.scanned((world.total, 0), (0, 0))
    assert not later.over({}, NOTHING)
    later.scanned((world.total + 3, 0), (0, 0))
    assert set(later.over({}, NOTHING)) == {"a"}


def test_a_later_server_asks_nobody_for_what_may_be_a_neighbours() -> None:
    later = Ledger(None, NOTHING)
    later.begin("a", (10, None), (0, 0))
    later.begin("b", NONE, None)
    later.scanned((1000, 0), NOTHING)
    assert not later.over({}, NOTHING)


def test_the_room_is_that_of_the_task_with_the_least() -> None:
    ledger = Ledger(NOTHING, NOTHING)
    assert ledger.room() == (None, None)
    ledger.begin("a", (10, None), NOTHING)
    assert ledger.room() == (10, None)
    ledger.scanned((4, 0), NOTHING)
    assert ledger.room() == (6, None)
