"""Places are shared by sessions, so that some are left for who comes next."""

import asyncio
import contextlib

from hypothesis import given
from hypothesis import strategies as st

from lan_session_manager.egress.places import Places


async def _take(places: Places, session: str) -> bool:
    """Whether the session gets a place without waiting."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0):
            await places.take(session)
            return True
    return False


@given(st.integers(1, 100), st.lists(st.sampled_from("abcde"), max_size=200))
def test_whoever_takes_all_that_it_can_get_leaves_one_for_the_next(most: int, asked: list[str]) -> None:
    async def main() -> None:
        places, taken = Places(most), dict.fromkeys("abcde", 0)
        for session in asked:
            taken[session] += await _take(places, session)
            assert sum(taken.values()) <= most
        assert max(taken.values()) <= most // 5 + 1
        if most >= 20:
            assert await _take(places, "somebody else")

    asyncio.run(main())


def test_who_waits_gets_a_place_when_one_is_given_back() -> None:
    async def main() -> None:
        places = Places(5)
        await places.take("a")
        waits = [asyncio.create_task(places.take("a")) for _ in range(2)]
        given_up = asyncio.create_task(places.take("a"))
        await asyncio.sleep(0)
        given_up.cancel()
        assert await _take(places, "b")
        places.give("b")
        await asyncio.sleep(0)
        assert [one.done() for one in waits] == [False, False]
        places.give("a")
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        assert [one.done() for one in waits] == [True, False]
        waits[1].cancel()

    asyncio.run(main())
