"""Who asks for much at once waits for itself, and the others come in between."""

import asyncio
import threading

from lan_session_manager.web.turns import Alternating, Threads, Turns


async def _asks(turns: Turns, key: str, begun: list[str]) -> None:
    await turns.wait(key)
    begun.append(key)


def test_who_comes_alone_does_not_wait() -> None:
    async def main() -> None:
        turns = Turns()
        for _ in range(3):
            turn = turns.wait("a")
            try:
                turn.send(None)
            except StopIteration:
                pass
            else:
                raise AssertionError("waited")
            await asyncio.sleep(0)

    asyncio.run(main())


def test_a_request_among_hundreds_of_another_begins_before_them() -> None:
    begun: list[str] = []

    async def main() -> None:
        turns = Turns()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(200):
                tasks.create_task(_asks(turns, "many", begun))
            tasks.create_task(_asks(turns, "one", begun))
        assert not turns._waiting

    asyncio.run(main())
    assert begun.index("one") < 5
    assert begun.count("many") == 200


def test_who_gave_up_waiting_holds_nobody_up() -> None:
    begun: list[str] = []

    async def main() -> None:
        turns = Turns()
        asking = [asyncio.create_task(_asks(turns, "a", begun)) for _ in range(5)]
        await asyncio.sleep(0)
        for task in asking[1:4]:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        await asyncio.sleep(0)
        assert not turns._waiting

    asyncio.run(main())
    assert len(begun) == 2


def test_one_session_has_a_few_threads_and_the_others_have_theirs() -> None:
    go_on, lock = threading.Event(), threading.Lock()
    at_work: list[int] = [0, 0]  # now, and at the most

    def work() -> None:
        with lock:
            at_work[0] += 1
            at_work[1] = max(at_work)
        go_on.wait(10)
        with lock:
            at_work[0] -= 1

    async def main() -> None:
        threads = Threads()
        working = [asyncio.create_task(threads.run("many", work)) for _ in range(20)]
        await asyncio.sleep(0)
        assert await threads.run("one", lambda: "done") == "done"
        go_on.set()
        await asyncio.gather(*working)
        del working
        assert not threads._shares

    asyncio.run(main())
    assert at_work == [0, 2]


def test_work_of_one_is_done_in_between_however_much_another_has() -> None:
    async def scenario() -> list[str]:
        alternating, done = Alternating(), list[str]()

        async def work(key: str) -> None:
            async with alternating.of(key):
                done.append(key)
                await asyncio.sleep(0)

        many = [asyncio.create_task(work("many")) for _ in range(5)]
        await asyncio.sleep(0)
        await asyncio.gather(*many, work("one"))
        return done

    assert asyncio.run(scenario()) == ["many", "one", *["many"] * 4]
