"""What the owner tells everybody, as it is asked for."""

from lan_session_manager.store.connected import Connected
from lan_session_manager.store.records import MessageRecord


class MessageReads(Connected):
    """Reads of the message."""

    def message(self, now: float) -> MessageRecord | None:
        """What the owner tells everybody now."""
        row = self._one("SELECT id, text, at, until FROM messages WHERE until IS NULL OR until > ?", now)
        return MessageRecord(**dict(row)) if row else None
