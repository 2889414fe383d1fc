"""DNS rebinding and cross-site requests on a real network: a browser on one machine, an attacker's server on another.

The browser's machine resolves the attacker's name as the attacker likes, and no header helps that browsers send to
trustworthy origins only: over plain HTTP there is no `Sec-Fetch-Site`.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.browser import Browsers
from tests.browser.hostile import hostile_page
from tests.lan.lan import Lan
from tests.server import Server

pytestmark = [pytest.mark.root, pytest.mark.browser]

_PATIENCE_MS = 30_000
# What the page of a rebound name asks for, believing that it asks its own server.
_TRIES = """
async (victim) => {
  const ask = async (path, options) => {
    try {
      const answer = await fetch(path, options);
      return [answer.status, JSON.parse(await answer.text()).code];
    } catch (error) {
      return [0, String(error)];
    }
  };
  const json = { "Content-Type": "application/json" };
  const task = JSON.stringify({ description: "planted", runner: "swarm" });
  return {
    read: await ask(`/api/dashboard/${victim}`),
    files: await ask(`/api/workspace/${victim}/files?path=inputs`),
    submit: await ask("/api/task/submit", { method: "POST", headers: json, body: task }),
    forwarded: await ask("/api/task/submit", {
      method: "POST", headers: { ...json, "X-Forwarded-Host": "192.168.77.1" }, body: task,
    }),
    upload: await ask(`/api/workspace/${victim}/files/inputs/planted`, { method: "PUT", body: "planted" }),
    socket: await new Promise((resolve) => {
      const socket = new WebSocket(`ws://${location.host}/ws/dashboard/${victim}`);
      socket.onopen = () => resolve("open");
      socket.onclose = () => resolve("closed");
    }),
  };
}
"""


def _resolving(lan: Lan, tmp_path: Path, *lines: str) -> list[str]:
    """The prefix of a program on host a to which names are what `lines` of hosts(5) say."""
    hosts = tmp_path / "hosts"
    hosts.write_text("".join(f"{line}\n" for line in ("127.0.0.1 localhost", *lines)))
    script = 'mount --bind "$0" /etc/hosts && exec "$@"'
    return [*lan.host("a").prefix, "unshare", "--mount", "sh", "-c", script, str(hosts)]


def _sessions(lan: Lan, server: Server) -> dict[str, Any]:
    header = f"Authorization: Bearer {server.admin_token}"
    done = lan.server.run(["curl", "-s", "-H", header, f"{server.url}/api/sessions/all"])
    sessions: dict[str, Any] = json.loads(done.stdout)["sessions"]
    return sessions


def _is_all_refused(page: Page, victim: str) -> None:
    found = page.evaluate(_TRIES, victim)
    assert found.pop("socket") == "closed"
    assert found == {name: [421, "misdirected"] for name in found}
    assert len(found) == 5


def test_a_name_that_is_rebound_to_the_server_reaches_nothing(
    lan: Lan, server: Server, browsers: Browsers, tmp_path: Path
) -> None:
    prefix = _resolving(lan, tmp_path, f"{lan.server.ip} rebound.example", f"{lan.server.ip6} rebound6.example")
    chromium = browsers.launch(prefix=prefix)
    chromium.expect("421|WebSocket")
    for name in ("rebound.example", "rebound6.example"):
        for port in (server.port, server.ws_port):
            page = chromium.open(f"http://{name}:{port}/")
            assert "LSM_ALLOWED_HOSTS" in page.content()
            _is_all_refused(page, lan.host("a").ip)
    assert _sessions(lan, server) == {}
    # The same browser is served by the server's address.
    assert "LAN Session Manager</title>" in chromium.open(f"http://{lan.server.ip}:{server.port}/").content()


def test_a_page_whose_name_moves_to_the_server_while_it_is_open_reaches_nothing(
    lan: Lan, server: Server, browsers: Browsers, tmp_path: Path
) -> None:
    a, b = lan.host("a"), lan.host("b")
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text("<!doctype html><title>hostile</title>")
    # A browser keeps for a minute what a name was resolved to, so it is the address that moves, not the name.
    moving = "192.168.77.60"
    b.run(["ip", "address", "add", f"{moving}/24", "dev", b.interface])
    chromium = browsers.launch(prefix=_resolving(lan, tmp_path, f"{moving} rebound.example"))
    chromium.expect("421|WebSocket|favicon")
    command = [sys.executable, "-m", "http.server", str(server.port), "--bind", moving, "--directory", str(site)]
    with b.popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as attacker:
        wait = ("--retry", "20", "--retry-connrefused", "--retry-delay", "1")
        assert "hostile" in b.run(["curl", "-s", *wait, f"http://{moving}:{server.port}/"], timeout=30).stdout
        page = chromium.open(f"http://rebound.example:{server.port}/")
        assert page.title() == "hostile"
        attacker.kill()
    b.run(["ip", "address", "delete", f"{moving}/24", "dev", b.interface])
    lan.server.run(["ip", "address", "add", f"{moving}/24", "dev", lan.server.interface])
    a.run(["ip", "neigh", "flush", "dev", a.interface])
    _is_all_refused(page, a.ip)
    assert page.title() == "hostile", "all that was asked by the page of the attacker"
    assert _sessions(lan, server) == {}


def test_a_page_of_another_machine_changes_and_reads_nothing(lan: Lan, server: Server, browsers: Browsers) -> None:
    a, b = lan.host("a"), lan.host("b")
    target = f"http://{lan.server.ip}:{server.port}"
    chromium = browsers.launch(prefix=a.prefix)
    chromium.expect(".")
    with hostile_page(b.ip, target, server.ws_port, victim=a.ip, prefix=b.prefix) as url:
        page = chromium.open(url)
        page.wait_for_function("document.title === 'done'", timeout=_PATIENCE_MS)
        assert page.evaluate("window.got") == []
    assert all(session["total_tasks"] == 0 for session in _sessions(lan, server).values())
    assert not list(server.data_dir.glob("*/inputs/*"))
    assert " ERROR " not in server.output


def test_every_own_address_and_name_is_served_and_a_new_one_too(lan: Lan, server: Server) -> None:
    a = lan.host("a")

    def status(host: str, at: str) -> str:
        url = f"http://{at}:{server.port}/api/client-ip"
        return a.run(["curl", "-s", "-g", "-o", "/dev/null", "-w", "%{http_code}", "-H", f"Host: {host}", url]).stdout

    scope = lan.server.run(["ip", "-6", "-o", "address", "show", "dev", "br0", "scope", "link"]).stdout
    link_local = scope.split()[3].partition("/")[0]
    hostname = lan.server.run(["hostname"]).stdout.strip()
    for host in (
        lan.server.ip,
        f"[{lan.server.ip6}]",
        f"[{link_local}]",
        f"[{link_local}%25eth0]",
        hostname,
        f"{hostname}.local",
    ):
        assert status(f"{host}:{server.port}", lan.server.ip) == "200", host
    assert (
        status("localhost", lan.server.ip)
        == status(a.ip, lan.server.ip)
        == status("192.168.77.99", lan.server.ip)
        == "421"
    )
    lan.server.run(["ip", "address", "add", "192.168.77.99/24", "dev", "br0"])
    assert status("192.168.77.99", "192.168.77.99") == "200"
    url = f"http://[{link_local}%25eth0]:{server.port}/api/client-ip"
    assert a.run(["curl", "-s", "-g", "-o", "/dev/null", "-w", "%{http_code}", url]).stdout == "200"
