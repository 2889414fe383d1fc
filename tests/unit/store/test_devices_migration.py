"""Sessions of before devices were known are found by their addresses."""

import sqlite3
from importlib import resources
from pathlib import Path

from lan_session_manager.store import Store

_BEFORE = ("0001_initial.sql", "0002_session_limits.sql", "0003_egress.sql", "0004_task_limits.sql",
           "0005_connections_of_session.sql")  # fmt: skip


def test_an_address_names_the_session_that_it_had_unless_that_is_over(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    migrations = resources.files("lan_session_manager.store").joinpath("migrations")
    with sqlite3.connect(path) as old:
        for name in _BEFORE:
            old.executescript(migrations.joinpath(name).read_text())
        old.execute(f"PRAGMA user_version = {len(_BEFORE)}")
        for slot, (name, address, state) in enumerate(
            [("10_0_0_1", "10.0.0.1", "ended"), ("10_0_0_1-2", "10.0.0.1", "live"), ("10_0_0_2", "10.0.0.2", "expired"),
             ("10_0_0_3", "10.0.0.3", "ended")]
        ):  # fmt: skip
            old.execute(
                """INSERT INTO sessions (id, name, address, user_slot, state, created_at, last_activity)
                   VALUES (?, ?, ?, ?, ?, 1.0, 2.0)""",
                (f"{slot:032x}", name, address, slot, state),
            )
    old.close()
    store = Store(path)
    try:
        found = {ip: store.read.binding(ip) for ip in ("10.0.0.1", "10.0.0.2", "10.0.0.3")}
        names = {ip: named and (named[1].name, named[0].mac, named[0].is_shared) for ip, named in found.items()}
        assert names == {
            "10.0.0.1": ("10_0_0_1-2", None, False),
            "10.0.0.2": ("10_0_0_2", None, False),
            "10.0.0.3": None,
        }
        # Two sessions may have one last address from now on.
        store.write(lambda tx: tx.add_session("10_0_0_2-2", "10.0.0.2", 3.0)).result()
        assert [session.name for session in store.read.live_sessions()] == ["10_0_0_1-2", "10_0_0_2-2"]
    finally:
        store.close()
