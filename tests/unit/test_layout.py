"""The rooms of the package: imports run one way, and only one room knows SQL.

The levels are those of docs/architecture.md. A room may import from its own level and from lower ones.
"""

import ast
from collections.abc import Iterable, Mapping
from pathlib import Path

import grimp

PACKAGE = "lan_session_manager"
LEVELS = (
    {"version", "errors", "states", "addresses", "hosts", "destinations", "settings", "repeats", "samples"},
    {"store"},
    {"workspace", "logs", "sandbox", "egress", "machine", "names", "tls", "banner"},
    {"allowances", "sessions", "tasks", "activity", "schedule", "runners", "identity", "feed", "exposure"}
    | {"audit", "connections", "requests", "batches", "queue_files", "shares", "estimate", "waits", "line", "mdns"},
    {"engine"},
    {"dispatcher", "queueing", "diskwatch", "growth", "keptlogs", "shortage", "retention", "workers"},
    {"manager"},
    {""},  # the package itself: the public names of the contract
    {"web", "doctor"},
    {"cli", "__main__", "importing"},
)
LEVEL_OF = {room: number for number, rooms in enumerate(LEVELS) for room in rooms}
# The parts that drive the kernel stay usable on another machine, without the web and the database.
NEVER = {"sandbox": {"web", "store"}, "egress": {"web", "store"}, "engine": {"web", "store"}}

Imports = Mapping[str, Iterable[str]]  # a module's full name and those of the modules that it imports


def room(module: str) -> str:
    """The room of a module: the first name below the package, "" for the package itself."""
    return (module + ".").split(".")[1]


def circles(imports: Imports) -> list[list[str]]:
    """One list for each module that can be reached from itself: the way back to it, itself first and last."""

    def way_back(start: str) -> list[str] | None:
        ways = [[start]]
        seen = set()
        for way in ways:
            for imported in sorted(imports.get(way[-1], ())):
                if imported == start:
                    return [*way, start]
                if imported not in seen:
                    seen.add(imported)
                    ways.append([*way, imported])
        return None

    return [way for module in sorted(imports) if (way := way_back(module))]


def upward(imports: Imports, level_of: Mapping[str, int]) -> list[tuple[str, str]]:
    """The imports from a room of a higher level."""
    pairs = ((importer, imported) for importer in sorted(imports) for imported in sorted(imports[importer]))
    return [pair for pair in pairs if level_of[room(pair[0])] < level_of[room(pair[1])]]


def forbidden(imports: Imports, never: Mapping[str, set[str]]) -> list[tuple[str, str]]:
    """The imports that a room may not have at all, through whichever modules they come."""
    found = []
    for importer in sorted(imports):
        reached = {importer}
        queue = [importer]
        for module in queue:
            new = set(imports.get(module, ())) - reached
            reached |= new
            queue += sorted(new)
        found += [(importer, other) for other in sorted(reached) if room(other) in never.get(room(importer), ())]
    return found


def imported_names(source: str) -> set[str]:
    """The first names of all modules that a source text imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


def real_imports() -> dict[str, set[str]]:
    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    return {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}


def test_every_room_has_a_level() -> None:
    assert {room(module) for module in real_imports()} <= set(LEVEL_OF)


def test_no_module_imports_itself_by_a_detour() -> None:
    assert circles(real_imports()) == []


def test_imports_run_one_way() -> None:
    assert upward(real_imports(), LEVEL_OF) == []


def test_sandbox_and_engine_know_neither_web_nor_store() -> None:
    assert forbidden(real_imports(), NEVER) == []


def test_only_the_store_speaks_to_the_database() -> None:
    root = Path(__file__).parents[2] / PACKAGE
    users = [path for path in root.rglob("*.py") if "sqlite3" in imported_names(path.read_text())]
    assert {path.relative_to(root).parts[0] for path in users} == {"store"}


def test_a_circle_is_found_from_each_of_its_modules() -> None:
    imports = {"p.a": {"p.b"}, "p.b": {"p.c"}, "p.c": {"p.b", "p.d"}, "p.d": set[str]()}
    assert circles(imports) == [["p.b", "p.c", "p.b"], ["p.c", "p.b", "p.c"]]


def test_an_import_of_a_higher_room_is_found_and_others_are_not() -> None:
    imports = {"p.store.rows": {"p.errors", "p.store.base", "p.web.app"}, "p.web.app": {"p.store.rows"}}
    assert upward(imports, {"errors": 0, "store": 1, "web": 2}) == [("p.store.rows", "p.web.app")]


def test_a_forbidden_room_is_found_behind_another_one() -> None:
    imports = {"p.engine.local": {"p.tasks"}, "p.tasks": {"p.store.rows"}, "p.store.rows": set[str]()}
    assert forbidden(imports, {"engine": {"store"}}) == [("p.engine.local", "p.store.rows")]


def test_a_database_module_is_found_inside_a_function_and_in_every_spelling() -> None:
    for line in ("import sqlite3", "import sqlite3.dbapi2 as db", "from sqlite3 import connect", "import os, sqlite3"):
        assert "sqlite3" in imported_names(f"def later():\n    {line}\n")
    assert "sqlite3" not in imported_names("from .sqlite3 import rows\nimport apsw\ntext = 'import sqlite3'\n")
