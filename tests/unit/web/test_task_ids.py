"""An id of a task is one segment of a path, whatever it holds."""

from urllib.parse import quote, unquote

from hypothesis import given
from hypothesis import strategies as st
from starlette.routing import compile_path

from lan_session_manager.web.task_ids import TASK_ID, whole

_IDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20) | st.text("/%.2Ff", min_size=1)


@given(_IDS, st.sampled_from(["", "/log"]))
def test_every_id_comes_through_the_routing_as_it_is(task_id: str, rest: str) -> None:
    raw = f"/api/task/{quote(task_id, safe='')}{rest}".encode()
    regex, _, convertors = compile_path(f"/api/task/{TASK_ID}{rest}")
    found = regex.match(whole(unquote(raw.decode()), raw))
    assert found is not None
    assert convertors["task_id"].convert(found["task_id"]) == task_id


@given(_IDS)
def test_an_encoded_slash_never_makes_one_operation_of_another(task_id: str) -> None:
    raw = f"/api/task/{quote(task_id, safe='')}".encode()
    assert whole(unquote(raw.decode()), raw).count("/") == 3


def test_a_path_without_an_encoded_slash_is_left_alone() -> None:
    assert whole("/api/task/é", b"/api/task/%C3%A9") == "/api/task/é"
    assert whole("/api/task/a/log", None) == "/api/task/a/log"
