"""The changes of what the owner tells everybody, by name."""

from lan_session_manager.store.event_writes import EventWrites
from lan_session_manager.store.records import EventKind


class MessageWrites(EventWrites):
    """Changes of the message."""

    def set_message(self, text: str, now: float, until: float | None) -> None:
        """Tell everybody something, in place of what was told before."""
        self._connection.execute("DELETE FROM messages")
        self._connection.execute("INSERT INTO messages (text, at, until) VALUES (?, ?, ?)", (text, now, until))
        self.add_event(now, EventKind.MESSAGE_CHANGED, None, None)

    def take_message_back(self, now: float) -> None:
        """Tell nothing any more."""
        if self._connection.execute("DELETE FROM messages").rowcount:
            self.add_event(now, EventKind.MESSAGE_CHANGED, None, None)
