"""A real box reaches through its proxy what its network profile lists, and nothing by any other way."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from lan_session_manager.destinations import Profile, parse_rule
from lan_session_manager.egress.server import Egress
from lan_session_manager.engine.base import Job
from lan_session_manager.engine.local import LocalConfig, LocalEngine
from lan_session_manager.states import Reason, Verdict
from tests.integration.sandbox.room import GRACE_S, Ran, Room
from tests.proxies import head_of, only_loopback_open, resolve, target

pytestmark = pytest.mark.root

CURL = "curl --silent --show-error --max-time 10"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n"


def _answers(sock: object) -> None:
    head_of(sock)  # type: ignore[arg-type]
    sock.sendall(ANSWER)  # type: ignore[attr-defined]


def _egress(*allow: str) -> Egress:
    profile = Profile("some", tuple(parse_rule(text) for text in allow))
    return Egress({"some": profile}, resolve=resolve, is_closed=only_loopback_open)


@contextlib.asynccontextmanager
async def _engine(room: Room, egress: Egress, runtime: str = "") -> AsyncIterator[LocalEngine]:
    engine = LocalEngine(LocalConfig(room.data_dir, runtime, GRACE_S), egress)
    await engine.prepare()
    try:
        yield engine
    finally:
        await engine.close()


def _sh(room: Room, script: str, network: str = "some", session: str = "10_0_0_1") -> Job:
    return replace(room.job("/bin/bash", "-c", script, session=session), network=network)


def _run(room: Room, egress: Egress, job: Job, runtime: str = "") -> Ran:
    async def main() -> Ran:
        async with _engine(room, egress, runtime) as engine:
            return await room.ran(engine, job)

    return asyncio.run(main())


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_a_task_reaches_what_is_listed_as_a_request_and_as_a_tunnel(room: Room, runtime: str) -> None:
    with target(_answers) as port:
        egress = _egress(f"files.example:{port}")
        script = f"{CURL} http://files.example:{port}/; {CURL} --proxytunnel http://files.example:{port}/"
        ran = _run(room, egress, _sh(room, script), runtime)
    assert (ran.out, ran.code) == ("hello\nhello\n", 0), ran
    ended = [one for one in egress.journal.take() if one.ended_at]
    assert [(one.host, one.port, one.verdict) for one in ended] == [("files.example", port, Verdict.ALLOWED)] * 2
    assert all(one.bytes_received == len(ANSWER) and one.bytes_sent > 0 for one in ended)


def test_the_usual_programs_find_the_proxy_by_themselves(room: Room) -> None:
    with target(_answers) as port:
        url = f"http://files.example:{port}/"
        script = (
            f"python3 -c \"import urllib.request as u; print(u.urlopen('{url}').read())\"; env | grep -ic '_proxy='"
        )
        ran = _run(room, _egress(f"files.example:{port}"), _sh(room, script))
    assert ran.out == "b'hello\\n'\n9\n", ran


def test_a_task_without_a_profile_has_no_proxy_and_no_word_of_one(room: Room) -> None:
    script = "env | grep -i proxy; exec 3<>/dev/tcp/127.0.0.1/3128"
    ran = _run(room, _egress("*:80"), _sh(room, script, network="none"))
    assert (ran.out, ran.code) == ("", 1)
    assert "Connection refused" in ran.err


def test_a_server_of_the_tasks_own_is_reached_without_the_proxy(room: Room) -> None:
    script = (
        "cd /tmp; echo mine > a; python3 -m http.server 8000 >/dev/null 2>&1 & "
        f"until {CURL} http://localhost:8000/a 2>/dev/null; do sleep 0.05; done; kill %1"
    )
    assert _run(room, _egress("*:80"), _sh(room, script)).out == "mine\n"


def test_a_profile_that_is_gone_refuses_everything(room: Room) -> None:
    egress = _egress("*:80")
    ran = _run(room, egress, _sh(room, f"{CURL} http://files.example/", network="gone"))
    assert "The network profile gone does not list files.example:80." in ran.out
    assert [one.verdict for one in egress.journal.take()] == [Verdict.NOT_LISTED]


def test_who_is_asked_to_stop_has_no_network_from_then_on(room: Room) -> None:
    script = (
        "trap ': > stopping' TERM; exec 3<>/dev/tcp/127.0.0.1/3128; echo begun; read -t 20 -u 3 line; echo over $?; "
        "sleep 0.1; exec 4<>/dev/tcp/127.0.0.1/3128 || echo closed"
    )

    async def main() -> Ran:
        async with _engine(room, _egress("*:80")) as engine:
            job = replace(_sh(room, script), limits=replace(_sh(room, "").limits, time_s=25))
            await engine.start(job)
            async for piece in engine.follow(job.task_id, 0):
                if b"begun" in piece.data:
                    break
            await engine.cancel(job.task_id, Reason.CANCELLED_BY_USER)
            return room.printed(engine, job, await engine.ended(job.task_id))

    ran = asyncio.run(main())
    assert ran.ending.reason is Reason.CANCELLED_BY_USER
    assert ran.out.endswith("closed\n"), ran


def test_an_adopted_task_has_its_proxy_again(room: Room) -> None:
    with target(_answers) as port:
        script = f"until [ -e go ]; do sleep 0.05; done; {CURL} http://files.example:{port}/"
        job = _sh(room, script)

        async def main() -> Ran:
            async with _engine(room, _egress()) as engine:
                lease = await engine.start(job)
            async with _engine(room, _egress(f"files.example:{port}")) as engine:
                assert await engine.adopt(lease)
                (room.workspace() / "go").touch()
                return room.printed(engine, job, await engine.ended(job.task_id))

        ran = asyncio.run(main())
    assert (ran.out, ran.code) == ("hello\n", 0), ran


def test_a_task_that_takes_the_port_while_no_server_runs_harms_itself_alone(room: Room) -> None:
    taker = "import socket, time; s = socket.create_server(('127.0.0.1', 3128)); open('taken', 'w'); time.sleep(1)"
    script = f'until python3 -c "{taker}" 2>/dev/null; do sleep 0.05; done; echo over'

    async def main() -> Ran:
        job = _sh(room, script)
        async with _engine(room, _egress()) as engine:
            lease = await engine.start(job)
        end = time.monotonic() + 20
        while not (room.workspace() / "taken").exists():
            assert time.monotonic() < end
            await asyncio.sleep(0.05)
        async with _engine(room, _egress()) as engine:
            assert await engine.adopt(lease)
            return room.printed(engine, job, await engine.ended(job.task_id))

    assert asyncio.run(main()).out == "over\n"
