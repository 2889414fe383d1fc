"""Who is asking: the socket's peer, trusted proxies, devices that prove themselves, MAC addresses, tokens.

An address is the name of a session, a device's secret is the proof, and a MAC address that does not fit is a veto.
"""

from lan_session_manager.identity.callers import Caller, Tokens, identify, parse_proxies

__all__ = ["Caller", "Tokens", "identify", "parse_proxies"]
