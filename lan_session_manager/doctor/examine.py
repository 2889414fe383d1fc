"""All checks, in the order in which an owner reads them."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from lan_session_manager.doctor import cgroups, isolation, kernel, programs, rights, storage, surroundings
from lan_session_manager.doctor.findings import Finding, Verdict
from lan_session_manager.settings import QuotaMode, Settings, load_settings


def examine(data_dir: Path, port: int) -> list[Finding]:
    """Look at everything that a server over `data_dir` at `port` needs. Takes about a second; changes nothing."""
    place = storage.place_of(data_dir)
    server = surroundings.running_server(place.data_dir)
    settings, findings = _settings(place.data_dir)
    runtime = settings.oci_runtime if settings else ""
    accepted = settings.accept_reduced_isolation if settings else ""
    checks: tuple[tuple[str, Callable[[], list[Finding]]], ...] = (
        ("kernel", kernel.find_kernel),
        ("user namespaces", kernel.find_user_namespaces),
        ("seccomp", kernel.find_seccomp),
        ("user of the server", rights.find_rights),
        ("cgroups", cgroups.find_cgroups),
        ("runtime", partial(programs.find_runtime_programs, runtime)),
        ("helpers", programs.find_helpers),
        ("isolation", partial(isolation.find_isolation, place.data_dir, runtime, accepted)),
        ("data directory", partial(storage.find_data_directory, place)),
        ("file system", partial(storage.find_file_system, place)),
        ("disk quotas", partial(storage.find_quotas, place, settings.quota_mode if settings else QuotaMode.WATCH)),
        ("disk space", partial(storage.find_space, place)),
        ("database", partial(storage.find_database, place)),
        ("clock", surroundings.find_clock),
        ("ports", partial(surroundings.find_ports, (port, surroundings.WS_PORT), server)),
        ("neighbour table", surroundings.find_neighbours),
        ("open files", partial(surroundings.find_open_files, server)),
        ("Python", programs.find_own),
    )
    return findings + [finding for name, check in checks for finding in _made(name, check)]


def _settings(data_dir: Path) -> tuple[Settings | None, list[Finding]]:
    name = "settings"
    try:
        return load_settings(data_dir), [Finding(name, Verdict.PASS, "they fit")]
    except ValidationError as error:
        what = "; ".join(f"{problem['loc'][0]}: {problem['msg']}" for problem in error.errors())
        return None, [Finding(name, Verdict.FAIL, what, "Correct it: the server does not start.")]
    except ValueError as error:
        return None, [Finding(name, Verdict.FAIL, f"settings.toml: {error}", "Correct it: the server does not start.")]
    except OSError as error:
        return None, [Finding(name, Verdict.SKIPPED, f"settings.toml cannot be read: {error.strerror}")]


def _made(name: str, check: Callable[[], list[Finding]]) -> list[Finding]:
    try:
        return check()
    except OSError as error:
        return [Finding(name, Verdict.SKIPPED, f"it could not be looked at: {error}")]
