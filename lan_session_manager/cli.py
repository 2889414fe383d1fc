"""What a person does from a terminal: serve, and have the machine looked at."""

import argparse
import asyncio
import fcntl
import logging
import os
import resource
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from lan_session_manager.activity import Isolation
from lan_session_manager.banner import own_urls, print_banner
from lan_session_manager.doctor.examine import examine
from lan_session_manager.doctor.findings import Verdict, as_json, as_text, overall
from lan_session_manager.engine.local import LocalConfig, LocalEngine
from lan_session_manager.errors import DataDirError, LSMError
from lan_session_manager.exposure import exposure
from lan_session_manager.feed import Feed
from lan_session_manager.identity import parse_proxies
from lan_session_manager.manager import DEFAULT_DATA_DIR, LANSessionManager
from lan_session_manager.sandbox.box import SandboxError
from lan_session_manager.settings import STATE_DIR, load_settings
from lan_session_manager.version import __version__
from lan_session_manager.web.app import create_app
from lan_session_manager.web.server import listen, serve
from lan_session_manager.web.services import Services

_log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit status."""
    parser = argparse.ArgumentParser(prog="lan-session-manager", description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    add_serve_options(commands.add_parser("serve", help="start the server"))
    _add_doctor_options(commands.add_parser("doctor", help="say whether this machine can serve safely"))
    options = parser.parse_args(arguments)
    return _run_doctor(options) if options.command == "doctor" else run_serve(options)


def add_serve_options(parser: argparse.ArgumentParser) -> None:
    """The options of `serve`, which are those of session_web_server.py."""
    parser.add_argument("--host", default="0.0.0.0", help="address to listen on (0.0.0.0: every one, IPv6 too)")  # noqa: S104
    parser.add_argument("--port", type=_port, default=5000, help="port of the page and the API (5000)")
    parser.add_argument("--ws-port", type=_port, default=8765, help="port of its own for the WebSocket (8765)")
    parser.add_argument("--data-dir", type=Path, default=Path(DEFAULT_DATA_DIR), help="where everything is kept")
    parser.add_argument("--debug", action="store_true", help="log every request")


def _add_doctor_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.add_argument("--data-dir", type=Path, default=Path(DEFAULT_DATA_DIR), help="where everything is kept")
    parser.add_argument("--port", type=_port, default=5000, help="port of the page and the API (5000)")


def _run_doctor(options: argparse.Namespace) -> int:
    """Print what the doctor finds; gives 1 if anything failed."""
    findings = examine(options.data_dir.absolute(), options.port)
    print(as_json(findings) if options.json else as_text(findings))
    return int(overall(findings) is Verdict.FAIL)


def run_serve(options: argparse.Namespace) -> int:
    """Start the server and serve until it is told to stop; gives the exit status."""
    logging.basicConfig(
        level=logging.DEBUG if options.debug else logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    for noisy in ("uvicorn", "asyncio", "websockets"):
        logging.getLogger(noisy).setLevel(logging.INFO if options.debug else logging.WARNING)
    try:
        return _serve(options)
    except LSMError as error:
        print(error.message, file=sys.stderr)
    except ValidationError as error:
        for problem in error.errors():
            print(f"The setting {problem['loc'][0]} does not fit: {problem['msg']}.", file=sys.stderr)
    except tomllib.TOMLDecodeError as error:
        print(f"{options.data_dir / STATE_DIR / 'settings.toml'} is no valid TOML: {error}.", file=sys.stderr)
    return 1


def _serve(options: argparse.Namespace) -> int:
    data_dir: Path = options.data_dir.absolute()
    _lock(data_dir)
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))  # each connection is one: 1024 are soon taken
    settings = load_settings(data_dir)
    engine = LocalEngine(LocalConfig(data_dir, settings.oci_runtime))
    line, isolation = asyncio.run(_tested(engine))
    open_to = exposure(options.host, isolation, settings.accept_reduced_isolation)
    manager = LANSessionManager(data_dir, settings=settings, isolation=isolation)
    services = Services(
        manager=manager,
        feed=Feed(manager.store),
        engine=engine,
        isolation=isolation,
        tokens=manager.tokens(),
        proxies=parse_proxies(settings.trusted_proxies),
        urls=own_urls(open_to.host, options.port),
        notice=open_to.notice,
    )
    sockets = [*listen(open_to.host, options.port), *listen(open_to.host, options.ws_port)]
    print_banner(
        sys.stdout,
        urls=services.urls,
        ws_port=options.ws_port,
        isolation=line,
        notice=open_to.notice,
        data_dir=data_dir,
        admin_token=None if settings.admin_token else manager.state_dir / "admin-token",
    )
    serve(create_app(services), sockets, debug=options.debug)
    return 0


async def _tested(engine: LocalEngine) -> tuple[str, Isolation | None]:
    """How tasks are isolated, in one line, and, if they can be run at all, as the page shows it."""
    try:
        found = await engine.self_test()
    except SandboxError as error:
        return f"nothing, so no task is run: {error}", None
    return found.line, Isolation(found.grade, found.line) if found.usable else None


def _lock(data_dir: Path) -> None:
    """Be the only server over the data directory, until the process ends. Raises DataDirError."""
    try:
        state_dir = data_dir / STATE_DIR
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        state_dir.mkdir(mode=0o700, exist_ok=True)
        fd = os.open(state_dir / "server.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DataDirError(path=data_dir, why="another server runs over it") from None
    except OSError as error:
        raise DataDirError(path=data_dir, why=error.strerror or "it cannot be used") from None


def _port(text: str) -> int:
    port = int(text)
    if not 1 <= port <= 65535:
        raise argparse.ArgumentTypeError("a port is a number from 1 to 65535")
    return port
