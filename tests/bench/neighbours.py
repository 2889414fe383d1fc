"""What one look at the neighbour table costs, beside a bare request to a server that does nothing."""

import http.client
import http.server
import statistics
import threading
import time
from pathlib import Path
from typing import Any

from lan_session_manager.addresses import Address, parse_address
from lan_session_manager.identity.neighbours import Neighbours

_ROUNDS = 1000


class _Empty(http.server.BaseHTTPRequestHandler):
    """Answers at once."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        pass


def neighbours(directory: Path) -> dict[str, Any]:
    """Microseconds of a look at a routed address and, if this machine has one, at a neighbour; and of a request."""
    found = Neighbours()
    peers = {"routed": parse_address("203.0.113.1")}
    if known := _known():
        peers["on_link"] = known
    times: dict[str, list[float]] = {name: [] for name in ("request", *peers)}
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Empty) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
        for _ in range(_ROUNDS):  # in turn, so that whatever else runs disturbs all alike
            begun = time.perf_counter()
            connection.request("GET", "/")
            connection.getresponse().read()
            times["request"].append(time.perf_counter() - begun)
            for name, peer in peers.items():
                begun = time.perf_counter()
                found.look(peer)
                times[name].append(time.perf_counter() - begun)
        connection.close()
        server.shutdown()
    found.close()
    middle = {name: statistics.median(each) for name, each in times.items()}
    return {
        "p50_us": {name: round(seconds * 1e6) for name, seconds in middle.items()},
        "ratio_to_a_request_p50": {name: round(middle[name] / middle["request"], 2) for name in peers},
    }


def _known() -> Address | None:
    """A neighbour that the kernel has (proc_net_arp: address, type, flags; 0x2 is a complete entry)."""
    lines = [line.split() for line in Path("/proc/net/arp").read_text().splitlines()[1:]]
    return next((parse_address(words[0]) for words in lines if words[2] == "0x2"), None)
