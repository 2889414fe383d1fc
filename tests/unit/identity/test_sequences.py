"""Whatever happens on the network: nobody reads what another has written, but by the rules that `world` states."""

from tests.unit.identity.world import run

SEQUENCES, STEPS = 10_000, 15  # `python -m tests.unit.identity.world` has longer ones


def test_no_device_reads_what_another_wrote() -> None:
    counts = run(SEQUENCES, STEPS)
    print(f"{SEQUENCES} sequences of {STEPS} steps: {dict(counts)}")
    # Else the sequences would prove little.
    for what in (
        "carried",
        "forget",
        "swap",
        "clash",
        "shared addresses",
        "came back",
        "let in by the contract's rule",
    ):
        assert counts[what] > 500, what
