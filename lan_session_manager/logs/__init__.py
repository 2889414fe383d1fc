"""A task's output: the records that its monitor writes, read as the bytes that the task printed.

The monitor (conmon, log driver `k8s-file`) writes a record for each chunk that it receives:

    <timestamp, 35 characters> SP stdout|stderr SP F|P SP <payload> LF

F says that the chunk ended with a line feed, P that it did not. A payload holds no line feed and every record starts
with a header of the monitor's own, so that nothing a task prints can pass for one. What callers see is the decoded
stream: the payloads of both streams in order of arrival, with the line feed of every F. All offsets count bytes of it.

A log that grows beyond its bound is cut in the middle (see `segments`): its beginning and its end stay, and between
them readers get one piece of the stream GAP, a line that says how much is left out there.
"""

from lan_session_manager.logs.reading import FULL as FULL
from lan_session_manager.logs.reading import LogFile as LogFile
from lan_session_manager.logs.records import GAP as GAP
from lan_session_manager.logs.records import REMOVED as REMOVED
from lan_session_manager.logs.records import LogPiece as LogPiece
from lan_session_manager.logs.records import notice as notice
from lan_session_manager.logs.text import LOOK_BACK as LOOK_BACK
from lan_session_manager.logs.text import LogText as LogText
from lan_session_manager.logs.text import TextPiece as TextPiece
