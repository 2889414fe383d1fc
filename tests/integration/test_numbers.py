"""Task ids never collide, repeat or leave a gap, however many processes and threads submit at once."""

import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lan_session_manager import LANSessionManager

IP = "192.168.1.100"
PROCESSES, THREADS, EACH = 16, 5, 25


def _submit_many(data_dir: str, ready: "multiprocessing.synchronize.Barrier") -> list[str]:
    manager = LANSessionManager(data_dir)
    ready.wait(60)
    with ThreadPoolExecutor(THREADS) as pool:
        futures = [pool.submit(manager.submit_task, IP, f"Write report {n}") for n in range(THREADS * EACH)]
        ids = [future.result() for future in futures]
    manager.close()
    return ids


def _into(
    results: "multiprocessing.Queue[list[str]]", data_dir: str, ready: "multiprocessing.synchronize.Barrier"
) -> None:
    results.put(_submit_many(data_dir, ready))


@pytest.fixture
def spawn() -> "multiprocessing.context.SpawnContext":
    return multiprocessing.get_context("spawn")


def test_2000_tasks_of_16_processes_have_2000_ids_without_gap_or_repeat(
    tmp_path: Path, spawn: "multiprocessing.context.SpawnContext", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LSM_QUEUE_BOUND", "2000")
    data_dir = str(tmp_path / "user_sessions")
    manager = LANSessionManager(data_dir)
    results: multiprocessing.Queue[list[str]] = spawn.Queue()
    ready = spawn.Barrier(PROCESSES)
    processes = [spawn.Process(target=_into, args=(results, data_dir, ready)) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    ids = [task_id for _ in processes for task_id in results.get(timeout=100)]
    for process in processes:
        process.join(20)
        assert process.exitcode == 0
    assert len(ids) == 2000
    assert set(ids) == {f"user_192_168_1_100_task_{number:03d}" for number in range(1, 2001)}
    assert manager.get_user_dashboard_data(IP)["session"]["total_tasks"] == 2000
    manager.close()
