"""What is kept of a box comes back as it was, and a record that was cut off counts as none."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from lan_session_manager.engine.base import Ending, Lease, Usage
from lan_session_manager.engine.records import Records, Started, Stop
from lan_session_manager.states import Reason

LEASE = Lease("t", "boot", 1, 2, 3, 4.5, 5.5)
ENDING = Ending(Reason.OUT_OF_MEMORY, 137, 6.5, Usage(0.5, 7), child_out_of_memory=True, detail="d")


def test_everything_comes_back_as_it_was_kept(tmp_path: Path) -> None:
    records = Records(tmp_path)
    assert (records.started(), records.stop(), records.ending()) == (None, None, None)
    records.save_started(Started("s1", LEASE, 8, "pypi"))
    records.save_stop(Stop(Reason.DISK_QUOTA, 5.0))
    records.save_ending(ENDING)
    again = Records(tmp_path)
    assert again.started() == Started("s1", LEASE, 8, "pypi")
    assert again.stop() == Stop(Reason.DISK_QUOTA, 5.0)
    assert again.ending() == ENDING


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "1", "{}", '{"reason": "no such"}', '{"lease": 1}', "\0\0\0\0"]
)
def test_a_record_that_cannot_be_read_counts_as_none(tmp_path: Path, text: str) -> None:
    for name in ("started", "stop", "ending"):
        (tmp_path / f"{name}.json").write_text(text)
    records = Records(tmp_path)
    assert (records.started(), records.stop(), records.ending()) == (None, None, None)


def test_a_record_of_an_earlier_version_has_no_bound_of_the_log_and_no_network(tmp_path: Path) -> None:
    (tmp_path / "started.json").write_text(json.dumps({"group": "s1", "lease": asdict(LEASE)}))
    assert Records(tmp_path).started() == Started("s1", LEASE, 0, "none")


def test_a_forgotten_task_has_no_record(tmp_path: Path) -> None:
    assert Records(tmp_path / "gone").ending() is None
    with pytest.raises(FileNotFoundError):
        Records(tmp_path / "gone").save_ending(ENDING)
