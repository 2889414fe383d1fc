"""In which language a page is: the one that was chosen in this browser, else the first that it asks for."""

import re
from collections.abc import Sequence

from starlette.requests import Request

COOKIE = "lsm-language"
_LONGEST = 500  # characters of a header that are looked at
_RANGE = re.compile(r"\s*([A-Za-z]{1,8})(?:-[A-Za-z0-9-]*)?\s*(?:;\s*q=([01](?:\.\d{0,3})?))?\s*")


def language_of(request: Request, languages: Sequence[str]) -> str:
    """One of `languages`; their first where nothing else is asked for."""
    chosen = request.cookies.get(COOKIE, "")
    if chosen in languages:
        return chosen
    return preferred(request.headers.get("accept-language", ""), languages)


def preferred(accepted: str, languages: Sequence[str]) -> str:
    """What an Accept-Language header (RFC 9110, 12.5.4) prefers; for lack of better the first."""
    wanted: list[tuple[float, str]] = []
    for part in accepted[:_LONGEST].split(","):
        found = _RANGE.fullmatch(part)
        if found and (quality := float(found[2] or 1)) > 0:
            wanted.append((quality, found[1].lower()))
    wanted.sort(key=lambda one: -one[0])
    return next((name for _, name in wanted if name in languages), languages[0])
