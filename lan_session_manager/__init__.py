"""LAN Session Manager: sandboxed tasks on one machine for every device of the local network."""

from lan_session_manager.errors import SecurityError
from lan_session_manager.manager import LANSessionManager, get_session_manager

__all__ = ["LANSessionManager", "SecurityError", "get_session_manager"]
