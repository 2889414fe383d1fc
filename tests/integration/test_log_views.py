"""Lines, tails, searches and streams of logs, as clients ask for them."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.integration.clients import dashboard, device, ended, submit
from tests.server import Server

_COUNT = "seq -f 'line %g' 5000; echo problem >&2"


@pytest.fixture(scope="module")
def counted(server: Server) -> Iterator[tuple[httpx.Client, str]]:
    """A device and its task, which printed 5000 lines and one more to stderr."""
    with device(server, "127.0.70.1") as client:
        task = submit(client, _COUNT)
        ended(client, task)
        yield client, task


def _lines(counted: tuple[httpx.Client, str], **query: Any) -> dict[str, Any]:
    client, task = counted
    answer = client.get(f"/api/task/{task}/log/lines", params=query)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


def test_a_window_scrolls_from_the_end_to_the_beginning_and_back(counted: tuple[httpx.Client, str]) -> None:
    client, task = counted
    whole = client.get(f"/api/task/{task}/log").text
    last = _lines(counted, tail=1, most=300)
    assert last["ended"]
    assert last["gaps"] == []
    assert last["first"] == {"byte": 0, "line": 1}
    assert last["end"] == {"byte": len(whole), "line": 5002}
    back = last["lines"]
    assert len(back) == 300
    while back[0]["after"]:
        back = _lines(counted, before=back[0]["after"])["lines"] + back
    # Where in the other stream's lines stderr comes nobody can say.
    assert "".join(line["text"] + "\n" * ("is_partial" not in line) for line in back) == whole
    assert [line["number"] for line in back if "is_partial" not in line] == list(range(1, 5002))
    assert [line["text"] for line in back if line["stream"] == "stderr"] == ["problem"]
    forth: list[dict[str, Any]] = []
    while more := _lines(counted, after=forth[-1]["next"] if forth else 0, most=2000)["lines"]:
        forth += more
    assert forth == back
    assert _lines(counted, line=4321, most=1)["lines"] == [line for line in back if line["number"] == 4321][:1]
    assert _lines(counted, line=9999)["lines"] == []


def test_lines_are_asked_for_by_one_place(counted: tuple[httpx.Client, str]) -> None:
    client, task = counted
    answer = client.get(f"/api/task/{task}/log/lines", params={"after": 0, "tail": 1})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")


def test_the_tail_begins_with_a_line_and_says_where(counted: tuple[httpx.Client, str]) -> None:
    client, task = counted
    whole = client.get(f"/api/task/{task}/log").content
    answer = client.get(f"/api/task/{task}/log", params={"tail": 1000})
    after = int(answer.headers["X-Log-After"])
    assert answer.content == whole[after:]
    assert 1000 <= len(answer.content) < 1020
    assert whole[:after].endswith(b"\n")
    assert int(answer.headers["X-Log-Next"]) == len(whole)
    of_stderr = client.get(f"/api/task/{task}/log", params={"stream": "stderr"})
    assert of_stderr.content == b"problem\n"
    assert int(of_stderr.headers["X-Log-Next"]) == len(whole)


def test_a_search_finds_each_hit_once_in_pages(counted: tuple[httpx.Client, str]) -> None:
    client, task = counted
    hits: list[dict[str, Any]] = []
    after: int | None = 0
    while after is not None:
        answer = client.get(
            f"/api/task/{task}/log/search", params={"q": "LINE 49", "ignore_case": 1, "after": after, "most": 7}
        )
        found = answer.raise_for_status().json()
        assert len(found["hits"]) <= 7
        hits, after = hits + found["hits"], found["next"]
    whole = client.get(f"/api/task/{task}/log").text
    assert [hit["start"] for hit in hits] == [match.start() for match in re.finditer("line 49", whole)]
    assert hits[0] | {"text": "line 49", "at": 0, "length": 7, "stream": "stdout"} == hits[0]
    assert [hit["line"] for hit in hits] == [whole.count("\n", 0, hit["start"]) + 1 for hit in hits]
    nothing = client.get(f"/api/task/{task}/log/search", params={"q": "LINE 49"}).json()
    assert (nothing["hits"], nothing["next"], nothing["searched_to"]) == ([], None, len(whole))
    for wrong in ({}, {"q": ""}, {"q": "a\nb"}, {"q": "x" * 201}):
        assert client.get(f"/api/task/{task}/log/search", params=wrong).status_code == 422


def test_a_follower_may_begin_near_the_end(server: Server, counted: tuple[httpx.Client, str]) -> None:
    client, task = counted
    whole = client.get(f"/api/task/{task}/log").text
    with dashboard(server, "127.0.70.1") as live:
        live.send(type="follow_log", task_id=task, after=-100)
        got = [m for m in live.until(lambda message: message["event"] == "log_end") if m["event"] == "log"]
        assert whole[: got[0]["after"]].endswith("\n")
        assert len(whole) - 120 < got[0]["after"] <= len(whole) - 100
        assert "".join(message["text"] for message in got) == whole[got[0]["after"] :]
        live.send(type="follow_log", task_id=task, after=0, skip="yes")
        assert live.event("error")["code"] == "invalid_input"


def test_who_would_be_far_behind_and_says_so_is_told_what_it_passes_over(server: Server) -> None:
    with device(server, "127.0.70.2") as client, dashboard(server, "127.0.70.2") as live:
        task = submit(client, "seq -f %050.0f 100000")
        ended(client, task)
        live.send(type="follow_log", task_id=task, after=0, skip=True)
        got = live.until(lambda message: message["event"] == "log_end")
        parts = [message for message in got if message["event"] in ("log", "log_skipped")]
        assert [part["after"] for part in parts] == [0, *(part["next"] for part in parts[:-1])]
        assert parts[-1]["next"] == got[-1]["next"] == 5_100_000
        skipped = [part for part in parts if part["event"] == "log_skipped"]
        assert sum(part["next"] - part["after"] for part in skipped) > 3_000_000
        assert parts[-1]["text"].endswith("0100000\n")
        live.send(type="follow_log", task_id=task, after=0)
        got = live.until(lambda message: message["event"] == "log_end")
        assert "".join(message.get("text", "") for message in got).count("\n") == 100_000
