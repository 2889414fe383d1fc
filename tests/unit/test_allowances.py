"""What a task asks for is what it has, if its session may use it; else a sentence says what it may."""

from collections.abc import Callable
from dataclasses import asdict, fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lan_session_manager import LANSessionManager
from lan_session_manager.allowances import LIMITS, Allowance, TaskLimits, allowance_of, limits_of, most_of
from lan_session_manager.errors import InvalidInputError, LimitTooHighError, LSMError
from lan_session_manager.requests import Request
from lan_session_manager.settings import Settings
from lan_session_manager.store.records import LimitsRecord, NewTask, TaskRecord
from lan_session_manager.web.schemas import Limits, SessionLimits

SETTINGS = Settings()
ALLOWED = Allowance(
    memory_mb=600,
    pids=300,
    cores=1.5,
    quota_mb=80,
    files=5000,
    max_concurrent_tasks=3,
    queue_bound=10,
    time_s=900,
    open_files=4000,
    log_mb=8,
    logs_mb=100,
    networks=(),
)

figures = st.one_of(st.none(), st.integers(-10, 2**53), st.floats(allow_nan=True, allow_infinity=True))
asked = st.builds(TaskLimits, **dict.fromkeys(LIMITS, figures))


@given(asked)
def test_a_task_has_exactly_what_it_asks_for_or_is_refused_with_a_sentence(wanted: TaskLimits) -> None:
    most = asdict(most_of(ALLOWED))
    too_much = {name for name, value in asdict(wanted).items() if value is not None and value > most[name]}
    refused: LSMError | None = None
    given_: dict[str, float | None] = {}
    try:
        given_ = asdict(limits_of(wanted, ALLOWED, SETTINGS))
    except LSMError as error:
        refused = error
    if isinstance(refused, LimitTooHighError):
        assert refused.facts["name"] in too_much
        assert refused.message.endswith(" at most.")
    elif refused is not None:
        assert isinstance(refused, InvalidInputError)
        assert refused.message.endswith(" at least.")
    else:
        assert not too_much
        for name, value in asdict(wanted).items():
            assert value in (None, given_[name])
            assert (given_[name] or 0) <= most[name]


@given(st.sampled_from(LIMITS), st.integers(1, 2**40), st.floats(1.001, 1000))
def test_the_allowance_that_is_said_can_be_asked_for(name: str, most: int, times: float) -> None:
    allowed = replace(ALLOWED, **{"quota_mb" if name == "disk_mb" else name: most})  # type: ignore[arg-type]
    with pytest.raises(LimitTooHighError) as refused:
        limits_of(TaskLimits(**{name: most * times + 100}), allowed, SETTINGS)  # type: ignore[arg-type]
    said = float(str(refused.value.facts["allowed"]))
    assert said == pytest.approx(most)
    if most >= 64:
        limits_of(TaskLimits(**{name: most}), allowed, SETTINGS)


def test_the_usual_limits_are_within_what_the_session_may_use() -> None:
    least = replace(ALLOWED, memory_mb=16, pids=32, time_s=1, open_files=64, log_mb=1)
    usual = limits_of(TaskLimits(), least, SETTINGS)
    assert usual == TaskLimits(memory_mb=16, time_s=1, pids=32, open_files=64, log_mb=1)


def test_every_limit_has_one_name_from_the_request_to_the_database() -> None:
    for kind in (Request, NewTask, TaskRecord):
        assert {field.name for field in fields(kind)} >= set(LIMITS)
    assert set(Limits.model_fields) == set(LIMITS)
    assert set(SessionLimits.model_fields) == {field.name for field in fields(LimitsRecord)}
    assert {field.name for field in fields(Allowance)} == {field.name for field in fields(LimitsRecord)}


def test_what_the_owner_gives_counts_and_the_rest_is_as_the_settings_have_it(manager: LANSessionManager) -> None:
    session = manager.create_session("192.168.1.100")
    own = LimitsRecord(time_s=5.0, open_files=64, log_mb=3, logs_mb=9)
    manager.store.write(lambda tx: tx.set_limits(session.session_id, own)).result()
    allowed = allowance_of(manager.store.read, manager.settings, session.session_id)
    assert (allowed.time_s, allowed.open_files, allowed.log_mb, allowed.logs_mb) == (5.0, 64, 3, 9)
    assert allowed.memory_mb == manager.settings.session_memory_mb
    assert allowance_of(manager.store.read, manager.settings, None).log_mb == manager.settings.log_max_mb


def test_a_task_keeps_its_limits_in_the_database(make_manager: Callable[..., LANSessionManager]) -> None:
    wanted = TaskLimits(64, 30.0, 0.5, 50, 100, 1, 10, 20)
    manager = make_manager()
    task_id = manager.submit_task("192.168.1.100", "true", runner="shell", **asdict(wanted))
    manager.close()
    task = make_manager().store.read.task(task_id)
    assert task is not None
    assert TaskLimits(**{name: getattr(task, name) for name in LIMITS}) == wanted


@pytest.mark.parametrize("slots", [1, 2, 64, 1000])
def test_defaults_that_come_from_the_machine_go_together(slots: int) -> None:
    settings = Settings(slots=slots)
    assert settings.task_memory_mb <= max(64, settings.session_memory_mb)
    assert 1024 <= settings.task_open_files <= settings.task_open_files_max
    assert settings.log_mb <= settings.log_max_mb <= settings.session_logs_mb
    assert 64 <= settings.session_pids <= 1024
    with open("/proc/sys/kernel/pid_max") as pid_max:
        assert settings.session_pids == 64 or settings.session_pids * slots <= int(pid_max.read()) // 2
