"""Below full isolation a server serves its own machine alone, unless its owner accepts that grade by name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lan_session_manager.activity import Isolation
from lan_session_manager.exposure import THIS_MACHINE, exposure

FULL, REDUCED = Isolation("full", "crun"), Isolation("reduced: memory", "crun; NOT held: memory")
LOOPBACK = ("127.0.0.1", "127.8.8.8", "::1", "localhost")
NETWORK = ("0.0.0.0", "::", "192.168.1.5", "fe80::1%eth0", "server.lan", "::ffff:127.0.0.1", "localhost.lan", "")


@pytest.mark.parametrize("wished", [*LOOPBACK, *NETWORK])
def test_with_full_isolation_the_server_listens_where_it_is_told(wished: str) -> None:
    found = exposure(wished, FULL, "")
    assert (found.host, found.notice) == (wished, ())


@pytest.mark.parametrize("wished", NETWORK)
def test_below_full_it_serves_this_machine_and_says_why_and_what_to_do(wished: str) -> None:
    found = exposure(wished, REDUCED, "")
    assert found.host == THIS_MACHINE
    assert "reduced: memory" in found.notice[0]
    assert "doctor" in found.notice[1]
    assert found.notice[2].endswith('LSM_ACCEPT_REDUCED_ISOLATION="reduced: memory"')


@pytest.mark.parametrize("isolation", [None, REDUCED])
@pytest.mark.parametrize("wished", LOOPBACK)
def test_who_asks_for_this_machine_alone_gets_it_without_a_notice(wished: str, isolation: Isolation | None) -> None:
    found = exposure(wished, isolation, "")
    assert (found.host, found.notice) == (wished, ())


@pytest.mark.parametrize("wished", NETWORK)
def test_the_grade_by_name_opens_the_network(wished: str) -> None:
    found = exposure(wished, REDUCED, "reduced: memory")
    assert (found.host, found.notice) == (wished, ())


@given(st.one_of(st.text(), st.sampled_from(["Reduced: memory", "reduced: memory ", "reduced: CPU", "yes", "1", "*"])))
def test_no_other_word_does(accepted: str) -> None:
    assert exposure("0.0.0.0", REDUCED, accepted).host == ("0.0.0.0" if accepted == REDUCED.grade else THIS_MACHINE)


@pytest.mark.parametrize("grade", ["none: no network", "", "anything"])
def test_a_hole_cannot_be_accepted(grade: str) -> None:
    assert exposure("0.0.0.0", Isolation(grade, ""), grade).host == THIS_MACHINE


@pytest.mark.parametrize("accepted", ["", "none", "None", "full", "none: boxes can be made"])
def test_a_server_that_runs_no_task_serves_this_machine_whatever_is_accepted(accepted: str) -> None:
    found = exposure("0.0.0.0", None, accepted)
    assert found.host == THIS_MACHINE
    assert "LSM_ACCEPT" not in " ".join(found.notice)
