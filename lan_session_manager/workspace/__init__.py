"""The files of the sessions. Nobody but this room opens a file in a workspace.

Everything in a workspace is hostile: a task may swap a file for a link, a pipe or another's file at any moment. What is
done with single files has modules of its own, to be imported by name: `listing`, `upload`, `download`, `archive`,
`move`, `remove`, `trash`; `paths` has the one reading of a client's path. All of it is done with the rights of the
session (`owner`).
"""

from lan_session_manager.workspace.usage import Quota, Usage
from lan_session_manager.workspace.volumes.base import Volumes
from lan_session_manager.workspace.workspace import Workspace, Workspaces

__all__ = ["Quota", "Usage", "Volumes", "Workspace", "Workspaces"]
