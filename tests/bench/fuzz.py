"""How many generated requests and WebSocket frames the server answers, and with what."""

from pathlib import Path
from typing import Any

from tests.fuzz import Fuzzer
from tests.server import start_server

_CALLS = 350  # of each operation, as each role
_FRAMES = 40_000


def fuzz(directory: Path) -> dict[str, Any]:
    """Requests to every operation as a device, the owner and a swarm worker, then frames; any fault ends it.

    Takes about ten minutes.
    """
    with start_server(directory, env={"LSM_QUEUE_BOUND": "1000000"}) as server:
        worker = (server.data_dir / ".lan_session_manager" / "worker-token").read_text().strip()
        tokens = {"device": "", "admin": server.admin_token, "worker": worker}
        answers: dict[str, dict[int, int]] = {}
        for number, (role, token) in enumerate(tokens.items(), 50):
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            fuzzer = Fuzzer(server, f"127.0.0.{number}", headers)
            fuzzer.calls(_CALLS, seed_=number)
            answers[role] = dict(sorted(fuzzer.statuses.items()))
        sender = Fuzzer(server, "127.0.0.60")
        frames = sender.frames(_FRAMES)
        return {
            "requests": sum(count for statuses in answers.values() for count in statuses.values()),
            "answers_by_status": answers,
            "frames": frames,
            "closed_by_code": dict(sorted(sender.closes.items())),
            "faults_in_the_log": server.output.count("Traceback"),
        }
