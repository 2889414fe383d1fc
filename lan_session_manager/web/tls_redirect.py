"""Plain HTTP at a port that speaks TLS: sent to https, but for the page that makes https possible."""

from urllib.parse import quote

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from lan_session_manager.errors import TlsNeededError
from lan_session_manager.hosts import Host, parse_authority
from lan_session_manager.web.admission import Admission
from lan_session_manager.web.guards import error_response

PLAIN_TOO = frozenset({"/ca", "/ca.crt"})  # a phone fetches the CA before it can trust what it signs
_HTTP, _HTTPS = 80, 443


class TlsOnly:
    """A layer behind the one that checks the Host header: what is not TLS gets a redirect (308, so that method and body
    stay what they are), a WebSocket 426. What a trusted proxy says came by TLS counts as TLS.
    """

    def __init__(self, app: ASGIApp, admission: Admission) -> None:
        self._app = app
        self._admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what came by TLS, and answer the rest."""
        if scope["type"] not in ("http", "websocket") or self._admission.is_tls(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            refusal = error_response(TlsNeededError())
            refusal.headers["Upgrade"] = "TLS/1.2, HTTP/1.1"  # that 426 names it: RFC 9110, section 15.5.22
            await refusal(scope, receive, send)
        elif scope["path"] in PLAIN_TOO:
            await self._app(scope, receive, send)
        else:
            # The connection is of no more use.
            headers = {"Location": _secure(scope), "Connection": "close"}
            await Response(status_code=308, headers=headers)(scope, receive, send)


def _secure(scope: Scope) -> str:
    """The same address by https. The host is one of ours by now; it alone stands before the path."""
    text = next(value for name, value in scope["headers"] if name == b"host").decode("latin-1")
    authority = parse_authority(text.strip(" \t"))
    port = authority.port or _HTTP
    path = scope.get("raw_path", b"").decode("latin-1")
    query = scope["query_string"].decode("latin-1")
    target = (path if path.startswith("/") else "/") + (f"?{query}" if query else "")
    # Also what no client should have sent as it is ends as a valid URL, and in one line.
    return f"https://{_in_url(authority.host)}{'' if port == _HTTPS else f':{port}'}{quote(target, safe=_SAFE)}"


_SAFE = "%/:?#[]@!$&'()*+,;=-._~"


def _in_url(host: Host) -> str:
    if ":" not in host.text:
        return host.text
    return f"[{host.text}%25{quote(host.zone, safe='')}]" if host.zone else f"[{host.text}]"
