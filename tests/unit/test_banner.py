"""What the owner reads at the start."""

import io
from pathlib import Path

from lan_session_manager.banner import print_banner


class _Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def _printed(*notice: str) -> str:
    out = _Terminal()
    print_banner(
        out,
        urls=["http://localhost:5000"],
        ws_port=8765,
        isolation="crun",
        quotas="kept by watching",
        notice=notice,
        data_dir=Path("/d"),
        admin_token=None,
    )
    return out.getvalue()


def test_a_phone_is_invited_unless_only_this_machine_is_served() -> None:
    assert "Scan it" in _printed()
    alone = _printed("Served to this machine only:", "do this")
    assert "  Served to this machine only:\n  do this\n" in alone
    assert "Scan it" not in alone
