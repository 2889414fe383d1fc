"""Puts modules of the page that import each other into one file, so that a browser asks once and not a hundred times.

The sources stay what they are, and this runs when the server starts: there is no build. It knows the few forms of
`import` and `export` that js/ and the libraries have (a test holds them to that), and copies everything else. Each
module becomes a function that runs at once, after those that it imports; what it exports is the object it gives.
Comments stay behind, and what indents the views.
"""

import re
from collections.abc import Mapping, Set
from pathlib import PurePosixPath

from lan_session_manager.errors import InternalError

_IMPORT = re.compile(
    r'^import\s*(?:\{(?P<names>[^}]*)\}|\*\s*as\s+(?P<all>\w+)|(?P<default>\w+))\s*from\s*"(?P<path>[^"]+)";?',
    re.MULTILINE,
)
# Not in a comment: types are named so there.
_LATER = re.compile(
    r"^(?P<before>(?! *(?:\*|/\*|//)).*?)\bimport\((?P<quote>[\"`])(?P<path>\.{1,2}/[^\"`]+)(?P=quote)\)", re.MULTILINE
)
_DECLARED = re.compile(
    r"^export (?P<kept>(?:async function\*?|function\*?|class|const) (?P<name>[\w$]+))", re.MULTILINE
)
_TAKEN_APART = re.compile(r"^export (?P<kept>const \{(?P<names>[^}]*)\} =)", re.MULTILINE)
_LISTED = re.compile(r'^export \{(?P<names>[^}]*)\}(?: from "(?P<path>[^"]+)")?;', re.MULTILINE)
# Of the libraries, which stand in few long lines.
_LISTED_LAST = re.compile(r"(?<=[;}])export\{(?P<names>[^}]*)\};?\s*$")
_DEFAULT = re.compile(r"\bexport default (?=function|\w+;)")
# Comments have lines of their own, as everywhere in js/; they are a fifth of what would travel.
_COMMENT = re.compile(r"^[ \t]*(?://.*|/\*[\s\S]*?\*/[ \t]*)\n", re.MULTILINE)
_INDENTATION = re.compile(r"^[ \t]+", re.MULTILINE)
_WAITS = re.compile(r"^(?:const .* = )?await ", re.MULTILINE)
_LEFT = re.compile(r"^(?:import\s*[\"'{*]|import\b.*\bfrom\s*[\"']|export\b)", re.MULTILINE)


def imported(module: str, source: str) -> list[str]:
    """What a module needs at its start, as paths from the same root as its own."""
    found = [match["path"] for match in _IMPORT.finditer(source)]
    found += [match["path"] for match in _LISTED.finditer(source) if match["path"]]
    return [beside(module, path) for path in dict.fromkeys(found)]


def fetched_later(module: str, source: str) -> list[str]:
    """What it fetches by `import(...)`; a part that is only known then stands as "*"."""
    return [re.sub(r"\$\{[^}]*\}", "*", beside(module, match["path"])) for match in _LATER.finditer(source)]


def beside(module: str, path: str) -> str:
    """A path that is relative to a module's own."""
    parts: list[str] = []
    for part in (PurePosixPath(module).parent / path).parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


def in_order(entry: str, sources: Mapping[str, str], outside: Set[str] = frozenset()) -> list[str]:
    """A module and all that it imports, each after what it imports itself. Raises InternalError for a circle."""
    done: dict[str, None] = {}
    open_now: list[str] = []

    def add(module: str) -> None:
        if module in done or module in outside:
            return
        if module in open_now:
            raise InternalError from ValueError(f"modules import each other in a circle: {[*open_now, module]}")
        open_now.append(module)
        for one in imported(module, sources[module]):
            add(one)
        open_now.pop()
        done[module] = None

    add(entry)
    return list(done)


def joined(entry: str, sources: Mapping[str, str], outside: Set[str] = frozenset()) -> str:
    """One module that stands in the place of `entry`. What is `outside` is still imported from where it is.

    Raises InternalError for a form of import or export that is not known here.
    """
    modules = in_order(entry, sources, outside)
    names = {module: f"$m{number}" for number, module in enumerate(modules)}
    head: list[str] = []
    for number, module in enumerate(sorted(outside)):
        names[module] = f"$o{number}"
        head.append(f'import * as {names[module]} from "{_from(entry, module)}";')
    blocks = [_block(module, sources[module], names, entry) for module in modules]
    last = names[entry]
    exports = [name for name in _exports(sources[entry]) if name != "default"]
    tail = f"export const {{ {', '.join(exports)} }} = {last};\n" if exports else ""
    return "\n".join([*head, *blocks, tail])


def _block(module: str, source: str, names: Mapping[str, str], entry: str) -> str:
    imports: list[str] = []
    exports = [f"{shown}: {own}" if shown != own else own for shown, own in _exports(source).items()]

    def note_import(match: re.Match[str]) -> str:
        of = names[beside(module, match["path"])]
        if match["names"] is not None:
            imports.append(f"const {{ {_renamed(match['names'], ': ')} }} = {of};")
        else:
            imports.append(f"const {match['all'] or match['default']} = {of}{'.default' if match['default'] else ''};")
        return ""

    def note_passed_on(match: re.Match[str]) -> str:
        if match["path"]:
            imports.append(f"const {{ {_renamed(match['names'], ': ')} }} = {names[beside(module, match['path'])]};")
        return ""

    def moved(match: re.Match[str]) -> str:
        quote = match["quote"]
        return f"{match['before']}import({quote}{_from(entry, beside(module, match['path']))}{quote})"

    body = _COMMENT.sub("", source)
    # Between the tags of a template it means nothing; elsewhere a text of several lines may need it.
    if "/components/" in module or not any(line.count("`") % 2 for line in body.splitlines()):
        body = _INDENTATION.sub("", body)
    body = _IMPORT.sub(note_import, body)
    body = _LISTED.sub(note_passed_on, body)
    body = _LISTED_LAST.sub("", body)
    body = _DECLARED.sub(lambda match: match["kept"], body)
    body = _TAKEN_APART.sub(lambda match: match["kept"], body)
    body = _DEFAULT.sub("const $default = ", body)
    body = _LATER.sub(moved, body)
    if left := _LEFT.search(body):
        raise InternalError from ValueError(f"{module}: {body[left.start() : left.start() + 80]!r}")
    # A function, as libraries say `var`. Only what stands at the left edge waits while the page begins.
    waits = "await (async () => {" if _WAITS.search(body) else "(() => {"
    begin, end = f"const {names[module]} = {waits}", f"return {{ {', '.join(exports)} }};\n}})();\n"
    return "\n".join([begin, *imports, body, end])


def _exports(source: str) -> dict[str, str]:
    """What a module exports: its name there, and in the module."""
    found = {match["name"]: match["name"] for match in _DECLARED.finditer(source)}
    for pattern in (_TAKEN_APART, _LISTED, _LISTED_LAST):
        for match in pattern.finditer(source):
            for own, shown in _pairs(match["names"]):
                # From another module it is here under the name that it is passed on by.
                found[shown] = shown if pattern is not _LISTED_LAST and match.groupdict().get("path") else own
    if _DEFAULT.search(source):
        found["default"] = "$default"
    return found


def _pairs(names: str) -> list[tuple[str, str]]:
    pairs = [re.split(r"\s+as\s+", name.strip()) for name in names.split(",") if name.strip()]
    return [(pair[0], pair[-1]) for pair in pairs]


def _renamed(names: str, between: str) -> str:
    return ", ".join(own if own == shown else f"{own}{between}{shown}" for own, shown in _pairs(names))


def _from(entry: str, module: str) -> str:
    up = len(PurePosixPath(entry).parts) - 1
    return "./" + "../" * up + module
