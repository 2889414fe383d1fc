"""A room of real boxes for each module and runtime, and what came of the module's programs in it."""

import os
from collections.abc import Iterator, Mapping

import pytest

from tests.attacks.tries import answers_of, attack_argv, programs_in, programs_of
from tests.integration.sandbox.room import Room


@pytest.fixture(scope="module", params=["crun", "runc"])
def runtime(request: pytest.FixtureRequest) -> str:
    """Both runtimes, one after the other."""
    return str(request.param)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory, runtime: str) -> Iterator[Room]:
    """Real boxes; whatever a module leaves of them is removed."""
    if os.geteuid() != 0:
        pytest.skip("boxes need root")
    made = Room(tmp_path_factory.mktemp("room") / "data")
    yield made
    made.remove()


@pytest.fixture(scope="module")
def given() -> Mapping[str, object]:
    """Variables for the programs; a module that has some overrides it."""
    return {}


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, room: Room, runtime: str, given: Mapping[str, object]
) -> Mapping[str, str]:
    """What came of every program of the module, from one box."""
    programs = programs_in(request.module)
    return answers_of(programs, room.run(*attack_argv(programs, given), runtime=runtime))


@pytest.fixture
def answers(request: pytest.FixtureRequest, outcomes: Mapping[str, str]) -> list[str]:
    """What came of the programs of one test."""
    return [outcomes[program] for program in programs_of(request.function)]
