"""Every setting: its name, its default and its one-line meaning.

A setting comes from the command line, else from `<data-dir>/.lan_session_manager/settings.toml`, else from the
environment, else it has the default that stands here. A value that does not fit stops the start with a sentence.
"""

import os
import resource
import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import psutil
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, PrivateAttr, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from lan_session_manager.destinations import NO_NETWORK, PROFILE_NAME, Profile, parse_rule
from lan_session_manager.hosts import parse_host

STATE_DIR = ".lan_session_manager"
MB = 1024 * 1024
MOST_OPEN_FILES = 65536  # of one process, whatever a task asks for


def _machine_memory_mb() -> int:
    return int(psutil.virtual_memory().total // MB)


def _kernel_bound(*names: str) -> int:
    """The least of some bounds of the kernel (files of /proc/sys)."""
    return min(int(Path("/proc/sys", name).read_text()) for name in names)


# What a default is derived from may be a value that was refused: then the start stops for that one.


def _task_memory_mb(known: dict[str, int]) -> int:
    return max(64, min(512, _machine_memory_mb() * 3 // 4 // known.get("slots", 1)))


def _session_pids(known: dict[str, int]) -> int:
    # So that boxes in all slots, each with all of its session's, leave half of the machine's for everything else.
    most = _kernel_bound("kernel/pid_max", "kernel/threads-max") // 2
    return max(64, min(1024, most // known.get("slots", 1)))


def _task_open_files(known: dict[str, int]) -> int:
    # The kernel's table of open files is one for the whole machine: half of it is for the boxes in all slots.
    processes = known.get("slots", 1) * known.get("task_pids", 1)
    return max(1024, min(MOST_OPEN_FILES, _kernel_bound("fs/file-max") // 2 // processes))


def _task_open_files_max() -> int:
    own = resource.getrlimit(resource.RLIMIT_NOFILE)[1]  # no box can have more than the server may
    return MOST_OPEN_FILES if own == resource.RLIM_INFINITY else max(64, min(MOST_OPEN_FILES, own))


def _log_max_mb(known: dict[str, int]) -> int:
    return max(256, known.get("log_mb", 0))


def _session_logs_mb(known: dict[str, int]) -> int:
    return max(known.get("workspace_quota_mb", 0), 2 * known.get("log_max_mb", 256))


def _env(name: str) -> AliasChoices:
    """The name in the environment, and the same in lower case, without the prefix, in the file and in Python."""
    return AliasChoices(name, name.removeprefix("LSM_").lower())


def _setting(name: str, default: Any, meaning: str, **bounds: Any) -> Any:
    if callable(default):
        return Field(default_factory=default, validation_alias=_env(name), description=meaning, **bounds)
    return Field(default, validation_alias=_env(name), description=meaning, **bounds)


class QuotaMode(StrEnum):
    """How the quotas of workspaces are kept."""

    WATCH = "watch"
    HARD = "hard"


class IdentityMode(StrEnum):
    """What tells the server which device it speaks with."""

    ADDRESS = "address"
    DEVICE = "device"


class Source(StrEnum):
    """Where the value of a setting comes from."""

    COMMAND_LINE = "command line"
    FILE = "settings.toml"
    ENVIRONMENT = "environment"
    DEFAULT = "default"


SECRET = frozenset({"admin_token", "worker_token"})  # settings whose values are shown to nobody


class EgressSettings(BaseModel):
    """A table `[egress.<name>]` of the file: one network profile. An empty list opens nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    allow: tuple[str, ...]  # host:port, *.domain:port or *:port

    @field_validator("allow")
    @classmethod
    def _check(cls, allow: tuple[str, ...]) -> tuple[str, ...]:
        for text in allow:
            try:
                parse_rule(text)
            except ValueError as error:
                raise ValueError(f'"{text}" cannot be allowed: {error}') from None
        return allow


class Settings(BaseSettings):
    """The settings in force, frozen."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    session_timeout_minutes: float = _setting(
        "SESSION_TIMEOUT_MINUTES",
        60.0,
        "minutes without a request, a dashboard or a task until a session expires",
        gt=0,
    )
    retention_days: float = _setting(
        "LSM_RETENTION_DAYS",
        30.0,
        "days for which the files of an expired session are kept before they go to the trash",
        gt=0,
        le=36_500,
    )
    trash_days: float = _setting(
        "LSM_TRASH_DAYS",
        7.0,
        "days in the trash before they go for good, unless the device comes back",
        gt=0,
        le=36_500,
    )
    workspace_quota_mb: int = _setting("WORKSPACE_QUOTA_MB", 1024, "MB that the files of one session may take", gt=0)
    workspace_files: int = _setting(
        "LSM_WORKSPACE_FILES", 200_000, "files and directories that one session may have", gt=0, le=250_000
    )
    quota_mode: QuotaMode = _setting(
        "LSM_QUOTA_MODE",
        QuotaMode.WATCH,
        "how quotas are kept: `watch`, by stopping who goes beyond, or `hard`, by the kernel",
    )
    disk_reserve_mb: int | None = _setting(
        "LSM_DISK_RESERVE_MB", None, "MB of the disk that stay free; empty: 2 % of the disk, 1024 at least", ge=1
    )
    max_concurrent_tasks: int = _setting(
        "MAX_CONCURRENT_TASKS", 5, "tasks of one session that run at once", gt=0, le=1000
    )

    slots: int = _setting(
        "LSM_SLOTS",
        lambda: os.cpu_count() or 1,
        "tasks of all sessions that run at once; one more is for a session that runs none",
        gt=0,
        le=1000,
    )
    share_half_life_s: float = _setting(
        "LSM_SHARE_HALF_LIFE_S",
        300.0,
        "seconds in which what a session has used counts half: who has used the least goes first",
        ge=1,
        le=86_400,
    )
    queue_bound: int = _setting("LSM_QUEUE_BOUND", 100, "tasks of one session that may wait", gt=0, le=1_000_000)
    task_memory_mb: int = _setting(
        "LSM_TASK_MEMORY_MB", _task_memory_mb, "MB of memory that a task has unless it asks", ge=16
    )
    session_memory_mb: int = _setting(
        "LSM_SESSION_MEMORY_MB",
        lambda: max(256, _machine_memory_mb() // 2),
        "MB of memory that all tasks of one session may have together, and so one task at most",
        ge=16,
    )
    tasks_memory_mb: int = _setting(
        "LSM_TASKS_MEMORY_MB",
        lambda: max(256, _machine_memory_mb() - max(512, _machine_memory_mb() // 8)),
        "MB of memory that all running tasks may have together: one that would be too much waits",
        ge=16,
    )
    task_time_s: int = _setting("LSM_TASK_TIME_S", 600, "seconds that a task may run unless it asks", gt=0)
    task_time_max_s: int = _setting("LSM_TASK_TIME_MAX_S", 86_400, "seconds that a task may ask for", gt=0)
    task_pids: int = _setting("LSM_TASK_PIDS", 256, "processes and threads that a task may have unless it asks", ge=16)
    session_pids: int = _setting(
        "LSM_SESSION_PIDS",
        _session_pids,
        "processes and threads of all tasks of one session, and so of one task at most",
        ge=32,
    )
    task_open_files: int = _setting(
        "LSM_TASK_OPEN_FILES",
        _task_open_files,
        "files that each process of a task may have open unless it asks",
        ge=64,
        le=MOST_OPEN_FILES,
    )
    task_open_files_max: int = _setting(
        "LSM_TASK_OPEN_FILES_MAX", _task_open_files_max, "open files that a task may ask for", ge=64, le=MOST_OPEN_FILES
    )
    session_cores: float = _setting(
        "LSM_SESSION_CORES", lambda: float(os.cpu_count() or 1), "processor cores that one session may use", gt=0
    )
    log_mb: int = _setting(
        "LSM_LOG_MB",
        64,
        "MB of disk for the log of a task unless it asks; of a longer output the middle is left out",
        gt=0,
        le=65_536,
    )
    log_max_mb: int = _setting(
        "LSM_LOG_MAX_MB", _log_max_mb, "MB of disk that a task may ask for its log", gt=0, le=65_536
    )
    session_logs_mb: int = _setting(
        "LSM_SESSION_LOGS_MB",
        _session_logs_mb,
        "MB that the logs of a session's ended tasks may take; beyond it the oldest are removed",
        gt=0,
    )
    upload_mb: int = _setting("LSM_UPLOAD_MB", 1024, "MB of one uploaded file", gt=0)
    identity: IdentityMode = _setting(
        "LSM_IDENTITY",
        IdentityMode.ADDRESS,
        "by what a device is known: `address`, where nothing better is there, or `device`, by cookie or token alone",
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = _setting(
        "LSM_TRUSTED_PROXIES",
        (),
        "addresses whose X-Forwarded-For, Forwarded, X-Real-IP and the like are believed, separated by commas",
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = _setting(
        "LSM_ALLOWED_HOSTS",
        (),
        "names and addresses by which the server may be opened besides the machine's own, separated by commas",
    )
    tls: bool = _setting(
        "LSM_TLS", False, "serve by TLS (as `--tls`), with a certificate of a certificate authority of this server"
    )
    egress: dict[str, EgressSettings] = _setting(
        "LSM_EGRESS", dict, "the network profiles: in the file a table [egress.name] for each, here one JSON object"
    )
    networks: Annotated[tuple[str, ...], NoDecode] = _setting(
        "LSM_NETWORKS", (), "network profiles that the tasks of every session may ask for, separated by commas"
    )
    oci_runtime: str = _setting("LSM_OCI_RUNTIME", "", "path of the OCI runtime; empty: crun where it works, else runc")
    accept_reduced_isolation: str = _setting(
        "LSM_ACCEPT_REDUCED_ISOLATION",
        "",
        "the isolation grade below full, word for word, with which the network is served all the same",
    )
    admin_token: str = _setting("LSM_ADMIN_TOKEN", "", "the owner's token; empty: made at the first start and kept")
    worker_token: str = _setting(
        "LSM_WORKER_TOKEN", "", "the swarm workers' token; empty: made at the first start and kept"
    )
    worker_lease_s: float = _setting(
        "LSM_WORKER_LEASE_S",
        60.0,
        "seconds after which a worker outside that was not heard of has lost its task",
        ge=1,
        le=86_400,
    )
    max_sockets: int = _setting("LSM_MAX_SOCKETS", 2000, "open dashboards of all sessions", gt=0)
    max_session_sockets: int = _setting("LSM_MAX_SESSION_SOCKETS", 20, "open dashboards of one session", gt=0)

    _on_command_line: frozenset[str] = PrivateAttr(frozenset())
    _in_file: frozenset[str] = PrivateAttr(frozenset())

    def source(self, name: str) -> Source:
        """Where the value of the setting with that name in Python comes from, of settings that were loaded."""
        alias = type(self).model_fields[name].validation_alias
        names = {name, *(str(one) for one in alias.choices)} if isinstance(alias, AliasChoices) else {name}
        if name not in self.model_fields_set:
            return Source.DEFAULT
        if names & self._on_command_line:
            return Source.COMMAND_LINE
        return Source.FILE if names & self._in_file else Source.ENVIRONMENT

    def disk_reserve(self, disk_bytes: int) -> int:
        """Bytes that stay free of a disk of `disk_bytes`."""
        if self.disk_reserve_mb is not None:
            return self.disk_reserve_mb * MB
        return max(1024 * MB, disk_bytes // 50)

    @property
    def profiles(self) -> dict[str, Profile]:
        """The network profiles by name."""
        return {
            name: Profile(name, tuple(parse_rule(text) for text in given.allow)) for name, given in self.egress.items()
        }

    @field_validator("egress")
    @classmethod
    def _named(cls, egress: dict[str, EgressSettings]) -> dict[str, EgressSettings]:
        for name in egress:
            if name == NO_NETWORK or not PROFILE_NAME.fullmatch(name):
                raise ValueError(f'a profile cannot have the name "{name}"')
        return egress

    @field_validator("allowed_hosts")
    @classmethod
    def _hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for text in hosts:
            try:
                parse_host(text)
            except ValueError:
                raise ValueError(f'"{text}" is no host name and no address: give it without a port and a "*"') from None
        return hosts

    @field_validator("networks")
    @classmethod
    def _known(cls, networks: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if "egress" in info.data:  # else that is what does not fit
            for name in networks:
                if name not in info.data["egress"]:
                    raise ValueError(f'there is no profile "{name}": it needs a table [egress.{name}]')
        return networks

    @field_validator("trusted_proxies", "allowed_hosts", "networks", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Command line before file before environment; dotenv files and secret folders are not read."""
        toml = cls.model_config.get("toml_file")
        file = (TomlConfigSettingsSource(settings_cls),) if toml else ()
        return (init_settings, *file, env_settings)


def load_settings(data_dir: Path, **command_line: Any) -> Settings:
    """The settings in force for a data directory. Raises pydantic.ValidationError for a value that does not fit."""

    class _FromFile(Settings):
        model_config = SettingsConfigDict(
            frozen=True, extra="ignore", env_ignore_empty=True, toml_file=data_dir / STATE_DIR / "settings.toml"
        )

    settings = _FromFile(**command_line)
    path = data_dir / STATE_DIR / "settings.toml"
    settings._on_command_line = frozenset(command_line)
    settings._in_file = frozenset(tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else ())
    return settings
