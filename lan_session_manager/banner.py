"""What the owner reads when the server has started: where to go, how tasks are isolated, where things are."""

import io
import socket
from collections.abc import Iterable, Sequence
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import TextIO

import psutil
import segno


def own_urls(host: str, port: int, *, is_tls: bool = False, names: Iterable[str] = ()) -> tuple[str, ...]:
    """The addresses that other devices open, the most useful first: IPv4 before IPv6, this machine's loopback last.

    `names` are those that a certificate of the owner's vouches for, which go before all addresses.
    """
    scheme = "https" if is_tls else "http"
    named = tuple(_url(scheme, name, port) for name in sorted(names))
    if host not in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        return named or (_url(scheme, host, port),)
    found: list[tuple[bool, bool, str]] = []
    for addresses in psutil.net_if_addrs().values():
        for address in addresses:
            if address.family not in (socket.AF_INET, socket.AF_INET6) or "%" in address.address:
                continue  # a link-local address means nothing without the interface of who opens it
            ip = ip_address(address.address)
            if not ip.is_unspecified and not ip.is_link_local and (host != "::" or ip.version == 6):
                found.append((ip.is_loopback, ip.version == 6, address.address))
    addresses_of_all = tuple(_url(scheme, address, port) for *_, address in sorted(found))
    return named + addresses_of_all or (_url(scheme, "localhost", port),)


def ca_url(url: str) -> str:
    """Where a device that opens the server at `url` gets the certificate authority from: without TLS."""
    return f"http://{url.partition('://')[2]}/ca"


def _url(scheme: str, host: str, port: int) -> str:
    try:
        bracketed = f"[{host}]" if isinstance(ip_address(host.partition("%")[0]), IPv6Address) else host
    except ValueError:
        bracketed = host
    return f"{scheme}://{bracketed}:{port}"


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
    ca_fingerprint: str | None = None,
) -> None:
    """Print the block, with a QR code of the first address where `out` is a terminal that can show it.

    `notice` has the lines that say why only this machine is served, and then no phone can open that address; empty: it
    is as the owner wished. `ca_fingerprint` is of the certificate authority that devices have to trust, if any.
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
        *_about_ca(urls[0], ca_fingerprint),
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


def _about_ca(url: str, fingerprint: str | None) -> list[str]:
    if fingerprint is None:
        return []
    half = len(fingerprint) // 2 + 1
    return [
        f"  Devices trust it by      {ca_url(url)}",
        f"  and compare (SHA-256)    {fingerprint[:half]}",
        f"                           {fingerprint[half:]}",
    ]
