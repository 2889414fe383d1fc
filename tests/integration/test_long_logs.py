"""What a client sees of a log of which the middle is left out."""

import time
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.clients import dashboard, device, ended, submit
from tests.server import Server, start_server

_FLOOD = "seq -f '%09.0f and what comes with it' 400000"
_MARK = "of output left out here"


@pytest.fixture(scope="module")
def small_logs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that gives each log 1 MB."""
    with start_server(tmp_path_factory.mktemp("logs"), env={"LSM_LOG_MB": "1"}) as server:
        yield server


@pytest.fixture
def client(small_logs: Server) -> Iterator[httpx.Client]:
    with device(small_logs) as client:
        yield client


def _is_at(end: int, message: dict[str, Any]) -> bool:
    return bool(message["event"] == "log" and message["next"] == end)


def lines_of(text: str) -> list[int]:
    """The numbers of the whole lines of the flood."""
    return [int(line[:9]) for line in text.split("\n") if line.endswith("what comes with it") and line[:9].isdecimal()]


def test_a_download_has_beginning_notice_and_end_and_the_next_byte_is_told(client: httpx.Client) -> None:
    task = submit(client, _FLOOD)
    assert "the middle was left out" in ended(client, task)["detail"]
    answer = client.get(f"/api/task/{task}/log", params={"download": 1})
    head, mark, tail = answer.text.partition(_MARK)
    assert mark
    assert _MARK not in tail
    first, last = lines_of(head), lines_of(tail)
    assert first == list(range(1, len(first) + 1))
    assert last == list(range(400_001 - len(last), 400_001))
    end = int(answer.headers["X-Log-Next"])
    assert end > len(answer.content)
    assert client.get(f"/api/task/{task}/log", params={"after": end}).content == b""
    followed = client.get(f"/api/task/{task}/log", params={"follow": 1})
    assert followed.content == answer.content
    rest = client.get(f"/api/task/{task}/log", params={"after": end - 33})
    assert (rest.text, rest.headers["X-Log-Next"]) == ("000400000 and what comes with it\n", str(end))


def test_an_open_dashboard_hears_the_notice_as_a_stream_of_its_own(small_logs: Server, client: httpx.Client) -> None:
    task = submit(client, _FLOOD)
    ended(client, task)
    with dashboard(small_logs) as live:
        live.send(type="follow_log", task_id=task, after=0)
        got = live.until(lambda message: message["event"] == "log_end")
        logs = [message for message in got if message["event"] == "log"]
        assert all(one["next"] == two["after"] for one, two in pairwise(logs))
        [gap] = [message for message in logs if message["stream"] == "gap"]
        assert _MARK in gap["text"]
        assert got[-1]["next"] == logs[-1]["next"]
        for after in (gap["after"], gap["after"] + 1, gap["next"], gap["next"] + 10):
            live.send(type="follow_log", task_id=task, after=after)
            got = live.until(lambda message: message["event"] == "log_end")
            again = [message for message in got if message["event"] == "log"]
            assert again[0]["after"] == after
            assert [message["stream"] for message in again].count("gap") == (after < gap["next"])
            assert lines_of("".join(message["text"] for message in again))[-1] == 400_000


def test_who_keeps_up_with_many_segments_misses_nothing_over_the_socket(
    small_logs: Server, client: httpx.Client
) -> None:
    script = "for i in $(seq 12); do printf '%0150000d\\n' $i; while [ ! -e go$i ]; do sleep 0.01; done; done"
    task = submit(client, script)
    logs = []
    with dashboard(small_logs) as live:
        live.send(type="follow_log", task_id=task, after=0)
        for n in range(1, 13):
            got = live.until(partial(_is_at, n * 150_001))
            logs += [message for message in got if message["event"] == "log"]
            client.put(f"/api/workspace/127.0.0.1/files/go{n}", content=b"").raise_for_status()
        assert live.event("log_end")["next"] == 12 * 150_001
    assert "".join(message["text"] for message in logs) == "".join(f"{n:0150000}\n" for n in range(1, 13))
    assert {message["stream"] for message in logs} == {"stdout"}
    assert "the middle was left out" in ended(client, task)["detail"]


def test_a_deleted_task_leaves_nothing_of_its_log(small_logs: Server, client: httpx.Client) -> None:
    task = submit(client, _FLOOD)
    ended(client, task)
    boxes: Path = small_logs.data_dir / ".lan_session_manager" / "boxes"
    before = len(list(boxes.iterdir()))
    client.delete(f"/api/task/{task}").raise_for_status()
    end = time.monotonic() + 10
    while len(list(boxes.iterdir())) == before and time.monotonic() < end:
        time.sleep(0.02)
    assert len(list(boxes.iterdir())) == before - 1
