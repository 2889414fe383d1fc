"""The files of the sessions. Nobody but this room opens a file in a workspace.

Everything in a workspace is hostile: a task may swap a file for a link, a pipe or another's file at any moment.
"""

from lan_session_manager.workspace.archive import archive
from lan_session_manager.workspace.download import Download
from lan_session_manager.workspace.listing import Entry, EntryType, Listing, list_directory
from lan_session_manager.workspace.meter import Reservation
from lan_session_manager.workspace.paths import Parts, parse_new_path, parse_path
from lan_session_manager.workspace.remove import make_directory, remove
from lan_session_manager.workspace.upload import Upload
from lan_session_manager.workspace.usage import Usage
from lan_session_manager.workspace.workspace import Workspace, Workspaces

__all__ = [
    "Download",
    "Entry",
    "EntryType",
    "Listing",
    "Parts",
    "Reservation",
    "Upload",
    "Usage",
    "Workspace",
    "Workspaces",
    "archive",
    "list_directory",
    "make_directory",
    "parse_new_path",
    "parse_path",
    "remove",
]
