"""What the doctor finds, and how it is told to people and to programs."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How a check came out, the worst first."""

    FAIL = "FAIL"  # the server does not run, or does not do what it promises
    CAUTION = "CAUTION"  # it works, and the owner should know this
    SKIPPED = "SKIPPED"  # it could not be looked at
    PASS = "PASS"  # noqa: S105 - no password


@dataclass(frozen=True)
class Finding:
    """One check: what was seen, and what to do about it (empty for PASS)."""

    name: str
    verdict: Verdict
    what: str
    advice: str = ""


def overall(findings: Sequence[Finding]) -> Verdict:
    """FAIL if anything failed, else CAUTION if anything wants attention, else PASS."""
    found = {finding.verdict for finding in findings}
    return next((verdict for verdict in (Verdict.FAIL, Verdict.CAUTION) if verdict in found), Verdict.PASS)


def as_text(findings: Sequence[Finding]) -> str:
    """One line a finding, its advice indented below, and a last line that sums up."""
    verdicts, names = max(map(len, Verdict)), max((len(finding.name) for finding in findings), default=0)
    lines = []
    for finding in findings:
        lines.append(f"{finding.verdict:{verdicts}}  {finding.name:{names}}  {_plain(finding.what)}")
        if finding.advice:
            lines.append(" " * (verdicts + 4) + _plain(finding.advice))
    counts = [(sum(finding.verdict is verdict for finding in findings), verdict) for verdict in reversed(Verdict)]
    lines += ["", f"{overall(findings)}: {', '.join(f'{count} {verdict}' for count, verdict in counts if count)}"]
    return "\n".join(lines)


def as_json(findings: Sequence[Finding]) -> str:
    """`{"findings": [{name, verdict, what, advice}], "verdict"}`."""
    return json.dumps({"findings": [asdict(finding) for finding in findings], "verdict": overall(findings)}, indent=2)


def _plain(text: str) -> str:
    # Names of programs and of directories come from outside, and a terminal obeys control characters.
    return "".join(letter if letter.isprintable() else " " for letter in text)
