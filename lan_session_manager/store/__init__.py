"""SQLite: the truth. Nobody outside of this room writes SQL."""

from lan_session_manager.store.checks import damage, sqlite_version
from lan_session_manager.store.database import Store
from lan_session_manager.store.reads import Reads
from lan_session_manager.store.writes import Transaction

__all__ = ["Reads", "Store", "Transaction", "damage", "sqlite_version"]
