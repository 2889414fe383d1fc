"""Every setting: its name, its default and its one-line meaning.

A setting comes from the command line, else from `<data-dir>/.lan_session_manager/settings.toml`, else from the
environment, else it has the default that stands here. A value that does not fit stops the start with a sentence.
"""

import os
from pathlib import Path
from typing import Annotated, Any

import psutil
from pydantic import AliasChoices, Field, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

STATE_DIR = ".lan_session_manager"
MB = 1024 * 1024


def _machine_memory_mb() -> int:
    return int(psutil.virtual_memory().total // MB)


def _env(name: str) -> AliasChoices:
    """The name in the environment, and the same in lower case, without the prefix, in the file and in Python."""
    return AliasChoices(name, name.removeprefix("LSM_").lower())


def _setting(name: str, default: Any, meaning: str, **bounds: Any) -> Any:
    if callable(default):
        return Field(default_factory=default, validation_alias=_env(name), description=meaning, **bounds)
    return Field(default, validation_alias=_env(name), description=meaning, **bounds)


class Settings(BaseSettings):
    """The settings in force, frozen."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    session_timeout_minutes: float = _setting(
        "SESSION_TIMEOUT_MINUTES",
        60.0,
        "minutes without a request, a dashboard or a task until a session expires",
        gt=0,
    )
    workspace_quota_mb: int = _setting("WORKSPACE_QUOTA_MB", 1024, "MB that the files of one session may take", gt=0)
    workspace_files: int = _setting("LSM_WORKSPACE_FILES", 200_000, "files that one session may have", gt=0, le=250_000)
    disk_reserve_mb: int | None = _setting(
        "LSM_DISK_RESERVE_MB", None, "MB of the disk that stay free; empty: 2 % of the disk, 1024 at least", ge=1
    )
    max_concurrent_tasks: int = _setting(
        "MAX_CONCURRENT_TASKS", 5, "tasks of one session that run at once", gt=0, le=1000
    )

    slots: int = _setting(
        "LSM_SLOTS", lambda: os.cpu_count() or 1, "tasks of all sessions that run at once", gt=0, le=1000
    )
    queue_bound: int = _setting("LSM_QUEUE_BOUND", 100, "tasks of one session that may wait", gt=0, le=1_000_000)
    task_memory_mb: int = _setting("LSM_TASK_MEMORY_MB", 512, "MB of memory that a task has unless it asks", ge=16)
    session_memory_mb: int = _setting(
        "LSM_SESSION_MEMORY_MB",
        lambda: max(256, _machine_memory_mb() // 2),
        "MB of memory that all tasks of one session may have together, and so one task at most",
        ge=16,
    )
    task_time_s: int = _setting("LSM_TASK_TIME_S", 600, "seconds that a task may run unless it asks", gt=0)
    task_time_max_s: int = _setting("LSM_TASK_TIME_MAX_S", 86_400, "seconds that a task may ask for", gt=0)
    task_pids: int = _setting("LSM_TASK_PIDS", 256, "processes and threads of one task", ge=16)
    session_pids: int = _setting("LSM_SESSION_PIDS", 1024, "processes and threads of all tasks of one session", ge=32)
    session_cores: float = _setting(
        "LSM_SESSION_CORES", lambda: float(os.cpu_count() or 1), "processor cores that one session may use", gt=0
    )
    log_mb: int = _setting("LSM_LOG_MB", 64, "MB of output that is kept of one task", gt=0)
    upload_mb: int = _setting("LSM_UPLOAD_MB", 1024, "MB of one uploaded file", gt=0)
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = _setting(
        "LSM_TRUSTED_PROXIES", (), "addresses whose X-Forwarded-For is believed, separated by commas"
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
    max_sockets: int = _setting("LSM_MAX_SOCKETS", 2000, "open dashboards of all sessions", gt=0)
    max_session_sockets: int = _setting("LSM_MAX_SESSION_SOCKETS", 20, "open dashboards of one session", gt=0)

    def disk_reserve(self, disk_bytes: int) -> int:
        """Bytes that stay free of a disk of `disk_bytes`."""
        if self.disk_reserve_mb is not None:
            return self.disk_reserve_mb * MB
        return max(1024 * MB, disk_bytes // 50)

    @field_validator("trusted_proxies", mode="before")
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

    return _FromFile(**command_line)
