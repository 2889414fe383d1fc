"""What a crash test does, by its seed: the steps of each device, and the blows."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from tests.crash.programs import Program


class Kind(StrEnum):
    """What a device does."""

    SUBMIT = "submit"
    CANCEL = "cancel"
    RERUN = "rerun"
    DELETE = "delete"
    UPLOAD = "upload"


class Blow(StrEnum):
    """What happens to the server, or to a monitor."""

    SERVING = "while it serves"
    SUBMIT = "in the middle of a submit"
    ANSWERED = "right after the answer to a submit"
    STARTING = "while it starts"
    STOP = "asked to stop"  # SIGTERM, as its owner does
    MONITOR = "of a monitor"


@dataclass(frozen=True)
class Step:
    """One step of a device. `picks` say which of its tasks are meant, whichever it has then."""

    kind: Kind
    program: Program  # what is submitted, or takes the place of what is run again
    key: str | None
    picks: tuple[float, ...]
    depends: int  # on so many of its tasks
    edits: bool  # of what is run again
    retries: int
    priority: int
    alone: bool
    start_after_s: float | None
    upload_bytes: int
    pause_s: float  # before the next step


@dataclass(frozen=True)
class Hit:
    """A blow, how long after the one before, and for how long there is no server then."""

    blow: Blow
    after_s: float
    delay_s: float  # from the beginning of a submit, or of a start
    away_s: float
    pick: float  # which monitor


def steps(seed: int, device: int) -> Iterator[Step]:
    """The steps of a device, without end."""
    dice = random.Random(f"steps {seed} {device}")  # noqa: S311 - a plan that can be made again
    number = 0
    while True:
        number += 1
        kind = dice.choices(list(Kind), (55, 13, 10, 9, 13))[0]
        shape = dice.choices(("short", "long", "wide", "burst"), (45, 25, 20, 10))[0]
        lines, widest, pause_s = {
            "short": (dice.randint(0, 40), 160, 0.005),
            "long": (dice.randint(20, 60), 400, dice.uniform(0.02, 0.12)),
            "wide": (dice.randint(3, 12), 40_000, 0.05),
            "burst": (dice.randint(500, 3_000), 300, 0.0),
        }[shape]
        token = f"s{seed}-d{device}-n{number}"
        yield Step(
            kind=kind,
            program=Program(
                token, lines, widest, round(pause_s, 4), dice.random() < 0.4, dice.choice((0, 0, 0, 0, 1, 7, 100))
            ),
            key=f"key {token}" if dice.random() < 0.7 else None,
            picks=tuple(dice.random() for _ in range(3)),
            depends=dice.choices((0, 1, 2, 3), (70, 15, 10, 5))[0],
            edits=dice.random() < 0.5,
            retries=int(dice.random() < 0.3),
            priority=dice.choice((0, 0, 0, -5, 20)),
            alone=dice.random() < 0.05,
            start_after_s=dice.uniform(0.5, 3.0) if dice.random() < 0.08 else None,
            upload_bytes=dice.choice((0, 1, 5_000, 300_000, 2_000_000, 9_000_000)),
            pause_s=dice.uniform(0.02, 0.6),
        )


def hits(seed: int) -> Iterator[Hit]:
    """The blows, without end."""
    dice = random.Random(f"hits {seed}")  # noqa: S311 - a plan that can be made again
    while True:
        blow = dice.choices(list(Blow), (20, 17, 19, 14, 6, 24))[0]
        yield Hit(
            blow=blow,
            after_s=dice.uniform(0.1, 3.5),
            delay_s=dice.uniform(0.0, 2.5) if blow is Blow.STARTING else dice.uniform(0.0, 0.02),
            away_s=dice.choice((0.0, 0.0, 0.0, 0.5, 2.0)),
            pick=dice.random(),
        )
