"""What the owner reads at the start."""

import io
from pathlib import Path

from lan_session_manager.banner import ca_url, own_urls, print_banner


class _Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def _printed(*notice: str, ca_fingerprint: str | None = None, url: str = "http://localhost:5000") -> str:
    out = _Terminal()
    print_banner(
        out,
        urls=[url],
        ws_port=8765,
        isolation="crun",
        quotas="kept by watching",
        notice=notice,
        data_dir=Path("/d"),
        admin_token=None,
        ca_fingerprint=ca_fingerprint,
    )
    return out.getvalue()


def test_a_phone_is_invited_unless_only_this_machine_is_served() -> None:
    assert "Scan it" in _printed()
    alone = _printed("Served to this machine only:", "do this")
    assert "  Served to this machine only:\n  do this\n" in alone
    assert "Scan it" not in alone


def test_addresses_say_by_what_they_are_opened_and_a_certificates_names_come_first() -> None:
    assert own_urls("192.168.1.5", 5000) == ("http://192.168.1.5:5000",)
    assert own_urls("fd00::1", 5000, is_tls=True) == ("https://[fd00::1]:5000",)
    named = own_urls("0.0.0.0", 5000, is_tls=True, names=["lab.example.org"])
    assert named[0] == "https://lab.example.org:5000"
    assert all(url.startswith("https://") for url in named)
    assert len(named) > 1


def test_where_the_ca_is_had_and_its_fingerprint_are_printed_if_there_is_one() -> None:
    pairs = ":".join(f"{number:02X}" for number in range(32))
    shown = _printed(ca_fingerprint=pairs, url="https://[fd00::1]:5000")
    assert "http://[fd00::1]:5000/ca\n" in shown
    assert "".join(line[27:] for line in shown.splitlines() if ":0" in line or ":1F" in line).endswith(pairs)
    assert ca_url("https://lab:5000") == "http://lab:5000/ca"
    assert "SHA-256" not in _printed()
