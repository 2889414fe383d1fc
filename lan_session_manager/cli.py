"""What a person does from a terminal: serve, have the machine looked at, import a queue."""

import argparse
import asyncio
import fcntl
import logging
import os
import resource
import signal
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from lan_session_manager.activity import Isolation
from lan_session_manager.banner import own_urls, print_banner
from lan_session_manager.doctor.examine import examine
from lan_session_manager.doctor.findings import Verdict, as_json, as_text, overall
from lan_session_manager.egress.server import Egress
from lan_session_manager.engine.local import LocalConfig, LocalEngine
from lan_session_manager.errors import CertificateError, DataDirError, LSMError
from lan_session_manager.exposure import THIS_MACHINE, exposure
from lan_session_manager.feed import Feed
from lan_session_manager.hosts import parse_host
from lan_session_manager.identity import parse_proxies
from lan_session_manager.importing import add_import_options, run_import
from lan_session_manager.manager import DEFAULT_DATA_DIR, LANSessionManager
from lan_session_manager.repeats import Repeats
from lan_session_manager.sandbox import launcher
from lan_session_manager.sandbox.box import SandboxError
from lan_session_manager.settings import STATE_DIR, Settings, load_settings
from lan_session_manager.tls.keeper import TLS_DIR, GivenCertificate, OwnCertificate, Tls
from lan_session_manager.version import __version__
from lan_session_manager.web.admission import Admission
from lan_session_manager.web.app import create_app
from lan_session_manager.web.drain import Drain
from lan_session_manager.web.known_hosts import KnownHosts
from lan_session_manager.web.server import listen, serve
from lan_session_manager.web.services import Services
from lan_session_manager.workspace.volumes.mode import choose_volumes

_log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit status."""
    parser = argparse.ArgumentParser(prog="lan-session-manager", description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    add_serve_options(commands.add_parser("serve", help="start the server"))
    _add_doctor_options(commands.add_parser("doctor", help="say whether this machine can serve safely"))
    add_import_options(commands.add_parser("import", help="hand in the tasks of another orchestrator's queue file"))
    inside = commands.add_parser("inside", help="run a program with the server's user ids, where that is not root")
    inside.add_argument("program", nargs=argparse.REMAINDER, help="the program and its arguments")
    options = parser.parse_args(arguments)
    runs = {"serve": run_serve, "doctor": _run_doctor, "import": run_import, "inside": _run_inside}
    return runs[options.command](options)


def add_serve_options(parser: argparse.ArgumentParser) -> None:
    """The options of `serve`, which are those of session_web_server.py."""
    parser.add_argument("--host", default="0.0.0.0", help="address to listen on (0.0.0.0: every one, IPv6 too)")  # noqa: S104
    parser.add_argument("--port", type=_port, default=5000, help="port of the page and the API (5000)")
    parser.add_argument("--ws-port", type=_port, default=8765, help="port of its own for the WebSocket (8765)")
    parser.add_argument("--data-dir", type=Path, default=Path(DEFAULT_DATA_DIR), help="where everything is kept")
    parser.add_argument("--debug", action="store_true", help="log every request")
    parser.add_argument("--drain", action="store_true", help="SIGTERM ends it once the running tasks have ended")
    parser.add_argument("--tls", action="store_true", help="serve by TLS, with a certificate authority of its own")
    parser.add_argument("--cert", type=Path, metavar="FILE", help="serve by TLS with this certificate (PEM)")
    parser.add_argument("--key", type=Path, metavar="FILE", help="and this key (PEM)")


def _add_doctor_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.add_argument("--data-dir", type=Path, default=Path(DEFAULT_DATA_DIR), help="where everything is kept")
    parser.add_argument("--port", type=_port, default=5000, help="port of the page and the API (5000)")


def _run_inside(options: argparse.Namespace) -> int:
    """Become a program that sees files and boxes as the server does; gives 1 if that cannot be."""
    launcher.enter()
    if launcher.mode() is launcher.Mode.NONE or not options.program:
        print("Name a program." if options.program == [] else launcher.why_not(), file=sys.stderr)
        return 1
    try:
        os.execvp(options.program[0], options.program)  # noqa: S606 - the owner's own words
    except OSError as error:
        print(f"{options.program[0]}: {error.strerror}", file=sys.stderr)
        return 1


def _run_doctor(options: argparse.Namespace) -> int:
    """Print what the doctor finds; gives 1 if anything failed."""
    launcher.enter(passing=True)
    findings = examine(options.data_dir.absolute(), options.port)
    print(as_json(findings) if options.json else as_text(findings))
    return int(overall(findings) is Verdict.FAIL)


def run_serve(options: argparse.Namespace) -> int:
    """Start the server and serve until it is told to stop; gives the exit status."""
    logging.basicConfig(
        level=logging.DEBUG if options.debug else logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    if not options.debug:
        for handler in logging.getLogger().handlers:
            handler.addFilter(Repeats())
    for noisy in ("uvicorn", "asyncio", "websockets"):
        logging.getLogger(noisy).setLevel(logging.INFO if options.debug else logging.WARNING)
    try:
        return _serve(options)
    except LSMError as error:
        print(error.message, file=sys.stderr)
    except ValidationError as error:
        for problem in error.errors():
            name = ".".join(str(part) for part in problem["loc"])
            print(f"The setting {name} does not fit: {problem['msg']}.", file=sys.stderr)
    except tomllib.TOMLDecodeError as error:
        print(f"{options.data_dir / STATE_DIR / 'settings.toml'} is no valid TOML: {error}.", file=sys.stderr)
    return 1


def _serve(options: argparse.Namespace) -> int:
    data_dir: Path = options.data_dir.absolute()
    launcher.enter()
    _lock(data_dir)
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))  # each connection is one: 1024 are soon taken
    settings = load_settings(data_dir, **({"tls": True} if options.tls else {}))
    volumes = choose_volumes(data_dir, settings.quota_mode)  # before threads that have mounts of their own
    egress = Egress(settings.profiles)
    engine = LocalEngine(LocalConfig(data_dir, settings.oci_runtime), egress)
    line, isolation = asyncio.run(_tested(engine))
    open_to = exposure(options.host, isolation, settings.accept_reduced_isolation)
    manager = LANSessionManager(data_dir, settings=settings, isolation=isolation, volumes=volumes)
    proxies = parse_proxies(settings.trusted_proxies)
    allowed = [*settings.allowed_hosts, *_names(open_to.host)]
    known = KnownHosts(allowed)
    tls = _tls(options, settings, manager.state_dir, allowed)
    # Our own certificate has the addresses too, and everybody has those at hand.
    named = [name for name in tls.names if known.owns(name)] if tls and not tls.ca else []
    services = Services(
        manager=manager,
        feed=Feed(manager.store),
        engine=engine,
        isolation=isolation,
        tokens=manager.tokens(),
        proxies=proxies,
        admission=Admission(
            known,
            ports=frozenset({options.port, options.ws_port}),
            proxies=proxies,
        ),
        urls=own_urls(open_to.host, options.port, is_tls=tls is not None, names=named),
        notice=open_to.notice,
        journal=egress.journal,
        drain=Drain(is_wanted=options.drain),
        tls=tls,
    )
    sockets = [*listen(open_to.host, options.port), *listen(open_to.host, options.ws_port)]
    print_banner(
        sys.stdout,
        urls=services.urls,
        ws_port=options.ws_port,
        isolation=line,
        quotas=manager.quota_line,
        notice=open_to.notice,
        data_dir=data_dir,
        admin_token=None if settings.admin_token else manager.state_dir / "admin-token",
        ca_fingerprint=services.ca.fingerprint if services.ca else None,
    )
    launcher.on_loss(_end_without_holder)
    serve(create_app(services), sockets, debug=options.debug, tls=tls)
    return 0


def _end_without_holder() -> None:
    _log.error("The process that holds the tasks has ended, and all tasks with it: the server has to start again.")
    os.kill(os.getpid(), signal.SIGTERM)


def _tls(options: argparse.Namespace, settings: Settings, state_dir: Path, allowed: Sequence[str]) -> Tls | None:
    """What the server speaks TLS with, if it is to. Raises CertificateError."""
    cert, key = options.cert, options.key
    if cert and key:
        return GivenCertificate(cert.absolute(), key.absolute())
    if cert or key:
        raise CertificateError(cert=cert or "(none given)", key=key or "(none given)", why="one goes with the other")
    return OwnCertificate(state_dir / TLS_DIR, allowed) if settings.tls else None


def _names(host: str) -> tuple[str, ...]:
    """The name by which the owner has the server listen, if it is one that others may know it by."""
    try:
        found = parse_host(host)
    except ValueError:  # said where it is listened at
        return ()
    return () if found.is_address or found.text == THIS_MACHINE else (found.text,)


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
