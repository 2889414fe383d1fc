"""What each layer of a box costs: submit → first byte of a box without it, beside the whole box, in turn."""

import random
import statistics
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.bench.bare import Bare, quantiles
from tests.bench.monitored import Monitored

_RUNS = 40
_INIT_WORDS = 2  # the init program and its "--"


def layers(directory: Path) -> dict[str, Any]:
    """Milliseconds of 40 runs each, and how many the layer costs in the median."""
    found: dict[str, list[float]] = {name: [] for name in ("whole box", *_WITHOUT, "overlays", "monitor")}
    with ExitStack() as stack:
        bare = stack.enter_context(Bare(directory))
        monitored = stack.enter_context(Monitored(directory))
        ways: dict[str, Callable[[], float]] = {
            "whole box": lambda: bare.run(layered=True),
            **{name: _without(bare, change) for name, change in _WITHOUT.items()},
            "overlays": bare.run,
            "monitor": monitored.run,
        }
        order = list(ways)
        for run in range(_RUNS + 2):
            random.shuffle(order)  # what the one leaves behind is cleared away in the time of the next
            for name in order:
                taken = ways[name]()
                if run >= 2:  # the first ones warm up all of them
                    found[name].append(taken)
    return {
        "runtime": bare.name,
        "runs": _RUNS,
        "whole_box_without_monitor_ms": quantiles(found["whole box"]),
        "without_ms": {name: quantiles(found[name]) for name in (*_WITHOUT, "overlays")},
        "with_monitor_ms": quantiles(found["monitor"]),
        "cost_min_ms": _costs(found, min),
        "cost_p50_ms": _costs(found, statistics.median),
    }


def _costs(found: dict[str, list[float]], figure: Callable[[list[float]], float]) -> dict[str, float]:
    whole = figure(found["whole box"])
    return {
        **{name: round(whole - figure(found[name]), 1) for name in (*_WITHOUT, "overlays")},
        "monitor": round(figure(found["monitor"]) - whole, 1),
    }


def _without(bare: Bare, change: Callable[[dict[str, Any]], object]) -> Callable[[], float]:
    return lambda: bare.run(change, layered=True)


def _no_user_namespace(config: dict[str, Any]) -> None:
    linux = config["linux"]
    linux["namespaces"] = [one for one in linux["namespaces"] if one["type"] != "user"]
    del linux["uidMappings"], linux["gidMappings"]


def _no_masks(config: dict[str, Any]) -> None:
    config["linux"].update(maskedPaths=[], readonlyPaths=[])


def _no_limits(config: dict[str, Any]) -> None:
    config["linux"]["resources"] = {}


def _no_init(config: dict[str, Any]) -> None:
    config["process"]["args"] = config["process"]["args"][_INIT_WORDS:]


_WITHOUT: dict[str, Callable[[dict[str, Any]], object]] = {
    "user namespace": _no_user_namespace,
    "seccomp": lambda config: config["linux"].pop("seccomp"),
    "cgroup limits": _no_limits,
    "masks": _no_masks,
    "init": _no_init,
}
