"""With whose rights the server would run, which user ids it has for sessions, and how long its tasks may go on."""

import contextlib
import pwd
from collections.abc import Mapping
from pathlib import Path

from lan_session_manager.doctor.findings import Finding, Verdict
from lan_session_manager.sandbox import holder, launcher
from lan_session_manager.sandbox.box import FIRST_HOST_UID, RANGE_SIZE
from lan_session_manager.sandbox.holder import parse_ranges
from lan_session_manager.sandbox.launcher import Mode

# The highest id of the last range that fits below (uid_t)-1, which means "no user".
_LAST_UID = FIRST_HOST_UID + (2**32 - 1 - FIRST_HOST_UID) // RANGE_SIZE * RANGE_SIZE - 1
_FEW_SESSIONS = 20
_IDS = "user ids of boxes"
_MORE_IDS = (
    "Give it 65,536 of each for every session, as root: usermod --add-subuids 1000000-66535999 "
    "--add-subgids 1000000-66535999 {user} (for 1,000 sessions)."
)


def find_rights() -> list[Finding]:
    """As whom the server would run, and the user ids of boxes."""
    mode, uid = launcher.mode(), launcher.outer_uid()
    files = {file.name: _text(file) for file in holder.RANGE_FILES.values()}
    if mode is Mode.ROOT:
        return [server_user(mode, "root"), host_ids(files)]
    name = user_name(uid)
    found = [server_user(mode, name, launcher.why_not()), own_ids(files, uid, name)]
    if holder.place(uid) == Path(f"/run/user/{uid}"):
        found.append(lingering(name, lingers=Path("/var/lib/systemd/linger", name).exists()))
    return found


def user_name(uid: int) -> str:
    """The name of a user, or its id where it has none."""
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(uid).pw_name
    return str(uid)


def server_user(mode: Mode, name: str, why_not: str = "") -> Finding:
    """The finding on the user that the server runs as."""
    title = "user of the server"
    if mode is Mode.ROOT:
        advice = (
            "Install the units of deploy/ (docs/operations.md), with which it runs as a user of its own. Where nothing "
            "can be delegated to one, use the machine for this alone, or keep nothing on it that tasks must not reach."
        )
        return Finding(title, Verdict.CAUTION, "root: a fault in the server would be a fault with all rights", advice)
    if mode is Mode.ROOTLESS:
        return Finding(title, Verdict.PASS, f"{name}, with rights over its own user ids alone")
    advice = "Mend what it names (docs/operations.md, `As a service`): until then no task runs."
    return Finding(title, Verdict.FAIL, f"{name}: {why_not}", advice)


def host_ids(files: Mapping[str, str]) -> Finding:
    """The finding on the texts of /etc/subuid and /etc/subgid for a server of root: nobody else may have its ids."""
    ours = f"{FIRST_HOST_UID} to {_LAST_UID}"
    if others := _others(files, [(FIRST_HOST_UID, _LAST_UID + 1 - FIRST_HOST_UID)], set()):
        advice = f"Give them ids below {FIRST_HOST_UID}: who has ids of a session can read that session's files."
        return Finding(_IDS, Verdict.CAUTION, f"{ours} are used by {', '.join(others)} as well", advice)
    return Finding(_IDS, Verdict.PASS, f"{ours}, nobody else's in /etc/subuid and /etc/subgid")


def own_ids(files: Mapping[str, str], uid: int, name: str) -> Finding:
    """The finding on the texts of /etc/subuid and /etc/subgid for a server of the user `name`, whose id is `uid`."""
    names = {name, str(uid)}
    own = {
        file: [(first, count) for owner, first, count in parse_ranges(text) if owner in names]
        for file, text in files.items()
    }
    sessions = min(sum(count for _, count in ranges) for ranges in own.values()) // RANGE_SIZE
    if sessions == 0:
        what = f"{name} has none for a session in /etc/subuid and /etc/subgid"
        return Finding(_IDS, Verdict.FAIL, what, _MORE_IDS.format(user=name))
    if others := _others(files, [one for ranges in own.values() for one in ranges], names):
        advice = "Give them other ids: who has ids of a session can read that session's files."
        return Finding(_IDS, Verdict.CAUTION, f"those of {name} are used by {', '.join(others)} as well", advice)
    what = f"for {sessions:,} session{'s' if sessions > 1 else ''}"
    if sessions < _FEW_SESSIONS:
        return Finding(_IDS, Verdict.CAUTION, f"{what} only", _MORE_IDS.format(user=name))
    return Finding(_IDS, Verdict.PASS, what)


def lingering(name: str, *, lingers: bool) -> Finding:
    """The finding on a holder that the user's own systemd runs."""
    if lingers:
        return Finding("lingering", Verdict.PASS, f"tasks of {name} go on after it has logged out")
    return Finding(
        "lingering",
        Verdict.CAUTION,
        f"the last log-out of {name} ends the server and all tasks",
        f"Run as root: loginctl enable-linger {name}. Or install the units of deploy/.",
    )


def _others(files: Mapping[str, str], ours: list[tuple[int, int]], names: set[str]) -> list[str]:
    return [
        f"{owner} in /etc/{file} ({first} to {first + count - 1})"
        for file, text in files.items()
        for owner, first, count in parse_ranges(text)
        if owner not in names and count and any(first < start + size and first + count > start for start, size in ours)
    ]


def _text(file: Path) -> str:
    with contextlib.suppress(FileNotFoundError):
        return file.read_text(errors="replace")
    return ""
