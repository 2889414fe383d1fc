"""From a description to a command: who runs a task, and as what."""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Runner:
    """A way to run a task in the sandbox."""

    name: str
    label: str
    prompt: str  # what the page shows before the command
    argv: Callable[[str], tuple[str, ...]]  # the command as the box runs it


SHELL = Runner("shell", "Shell", "$", lambda command: ("/bin/bash", "-c", command))
PYTHON = Runner("python", "Python", ">>>", lambda command: ("/usr/bin/python3", "-c", command))

SANDBOXED = {runner.name: runner for runner in (SHELL, PYTHON)}

SWARM = "swarm"  # an orchestrator takes the task and says when it is done; this server starts nothing for it

NAMES = (*SANDBOXED, SWARM)

_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=\S*")
_BUILTIN = frozenset(
    {"cd", "echo", "exit", "export", "for", "if", "printf", "set", "test", "true", "type", "while", "["}
)
_SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"  # what a box finds its programs in
_LOOKS_TYPED = re.compile(r"(^|\s)-{1,2}\w|[/|<>;&$\"'`=*]|\.\w+\b")


def pick(description: str) -> str:
    """The runner for a task that names none.

    A description whose first word is a program, and which has a path, an option, a file name or an operator in it or is
    that one word alone, was typed as a command: `shell`. Everything else is a wish in plain words: `swarm`.
    """
    words = description.split()
    while words and _ASSIGNMENT.fullmatch(words[0]):
        words.pop(0)
    if not words:
        return SWARM
    is_program = words[0] in _BUILTIN or "/" in words[0] or shutil.which(words[0], path=_SYSTEM_PATH) is not None
    return SHELL.name if is_program and (len(words) == 1 or _LOOKS_TYPED.search(description)) else SWARM
