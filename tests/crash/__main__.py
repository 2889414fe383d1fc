"""A crash test on demand: python -m tests.crash --seconds 300 --seed 1. The exit status is 1 if anything is amiss."""

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path

from tests.crash.driver import crash


def main() -> int:
    """Run it and print the findings."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0, help="for how long (300)")
    parser.add_argument("--seed", type=int, default=1, help="which plan (1)")
    parser.add_argument("--dir", type=Path, help="an empty directory to work in, which stays")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lsm-crash-") as directory:
        findings = asyncio.run(crash(options.dir or Path(directory), options.seconds, options.seed))
    print(json.dumps(findings, indent=2))
    return int(bool(findings["faults"]))


if __name__ == "__main__":
    sys.exit(main())
