"""What the owner reads when the server has started: where to go, how tasks are isolated, where things are."""

import io
import socket
from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import TextIO

import psutil
import segno


def own_urls(host: str, port: int) -> tuple[str, ...]:
    """The addresses that other devices open, the most useful first: IPv4 before IPv6, this machine's loopback last."""
    if host not in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        return (_url(host, port),)
    found: list[tuple[bool, bool, str]] = []
    for addresses in psutil.net_if_addrs().values():
        for address in addresses:
            if address.family not in (socket.AF_INET, socket.AF_INET6) or "%" in address.address:
                continue  # a link-local address means nothing without the interface of who opens it
            ip = ip_address(address.address)
            if not ip.is_unspecified and not ip.is_link_local and (host != "::" or ip.version == 6):
                found.append((ip.is_loopback, ip.version == 6, address.address))
    return tuple(_url(address, port) for *_, address in sorted(found)) or (_url("localhost", port),)


def _url(host: str, port: int) -> str:
    try:
        bracketed = f"[{host}]" if isinstance(ip_address(host.partition("%")[0]), IPv6Address) else host
    except ValueError:
        bracketed = host
    return f"http://{bracketed}:{port}"


def print_banner(
    out: TextIO,
    *,
    urls: Sequence[str],
    ws_port: int,
    isolation: str,
    quotas: str,
    notice: Sequence[str],
    data_dir: Path,
    admin_token: Path | None,
) -> None:
    """Print the block, with a QR code of the first address where `out` is a terminal that can show it.

    `notice` has the lines that say why only this machine is served, and then no phone can open that address; empty: it
    is as the owner wished.
    """
    token = str(admin_token) if admin_token else "as set by LSM_ADMIN_TOKEN"
    lines = [
        "",
        f"  LAN Session Manager      {urls[0]}",
        *(f"                           {url}" for url in urls[1:4]),
        f"  WebSocket as well on     port {ws_port}",
        f"  Tasks are isolated by    {isolation}",
        f"  Disk quotas are          {quotas}",
        f"  Data                     {data_dir}",
        f"  Admin token              {token}",
        "",
        *(f"  {line}" for line in notice),
        *([""] if notice else []),
    ]
    if not notice and out.isatty() and (out.encoding or "").lower().replace("-", "") == "utf8":
        code = io.StringIO()
        segno.make(urls[0], micro=False).terminal(code, border=1, compact=True)
        lines += ["  " + line for line in code.getvalue().splitlines()] + [
            "",
            "  Scan it with a phone, or open it.",
            "",
        ]
    out.write("\n".join(lines) + "\n")
    out.flush()
