"""The certificate authority of this server, for the devices that are to trust it. Also in plain HTTP."""

import base64
import hashlib
from html import escape
from string import Template

from fastapi import APIRouter
from starlette.responses import HTMLResponse, Response

from lan_session_manager.errors import NotFoundError
from lan_session_manager.tls.keeper import Ca
from lan_session_manager.web.services import ServicesDep

router = APIRouter()

_STYLE = """
:root { color-scheme: light dark; }
body { max-width: 42rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.25rem; }
h2 { font-size: 1rem; margin-bottom: 0.25rem; }
code { font: 0.9375rem/1.6 ui-monospace, monospace; overflow-wrap: anywhere; }
.button { display: inline-block; padding: 0.625rem 1rem; border: 1px solid; border-radius: 6px; font-weight: 600; }
dt { font-weight: 600; margin-top: 0.75rem; }
dd { margin: 0; }
"""
# In plain HTTP nothing else can be loaded from here, so the style is in the page and named by its hash.
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = (
    f"default-src 'none'; img-src data:; style-src 'sha256-{_HASH}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE = Template(
    f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Trust this server: LAN Session Manager</title>
<link rel="icon" href="data:,">
<style>{_STYLE}</style>
</head>
<body>
<h1>Trust this server</h1>
<p>This server speaks TLS with a certificate of its own authority. A device that has installed the authority opens the
server without a warning. The authority can vouch for this server's names and for private addresses, and for no other
site.</p>
<h2>1. Download it</h2>
<p><a class="button" href="/ca.crt">Download the certificate</a></p>
<h2>2. Compare the fingerprint (SHA-256)</h2>
<p><code id="fingerprint">$fingerprint</code></p>
<p>Your device shows it before it installs the certificate, or in its details. It has to be the one that the server
printed where it was started: who can change what you load over the network can change this page as well. If they
differ, do not install it.</p>
<h2>3. Install it</h2>
<dl>
<dt>iPhone, iPad</dt>
<dd>Open the download in Safari and allow the profile. Settings, General, VPN &amp; Device Management: install it.
Then Settings, General, About, Certificate Trust Settings: switch it on.</dd>
<dt>Android</dt>
<dd>Settings, Security, More security settings, Install from device storage (or search for "CA certificate").</dd>
<dt>Windows</dt>
<dd>Open the file, Install Certificate, Current User, place it in Trusted Root Certification Authorities.</dd>
<dt>macOS</dt>
<dd>Open the file in Keychain Access, open the certificate there, Trust: When using this certificate, Always Trust.</dd>
<dt>Firefox</dt>
<dd>Settings, Privacy &amp; Security, View Certificates, Authorities, Import: trust it to identify websites.</dd>
</dl>
<h2>4. Open the server</h2>
<p><a href="$url">$url</a></p>
</body>
</html>
"""
)


@router.get("/ca", include_in_schema=False)
async def ca_page(services: ServicesDep) -> Response:
    """How to trust this server: its CA's fingerprint, the way to the certificate, and what to do with it."""
    pairs = escape(_ca(services.ca).fingerprint).replace(":", ":<wbr>")
    shown = _PAGE.substitute(fingerprint=pairs, url=escape(services.urls[0]))
    return HTMLResponse(shown, headers={"Content-Security-Policy": _POLICY})


@router.get("/ca.crt", include_in_schema=False)
async def ca_certificate(services: ServicesDep) -> Response:
    """The certificate of the CA, in PEM, under the type by which phones offer to install it."""
    return Response(_ca(services.ca).pem, media_type="application/x-x509-ca-cert")


def _ca(ca: Ca | None) -> Ca:
    if ca is None:
        raise NotFoundError  # no TLS here, or its owner's own certificate: there is nothing to install
    return ca
