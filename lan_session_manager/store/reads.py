"""The questions that are asked of the database, by name."""

from lan_session_manager.store.dependency_reads import DependencyReads
from lan_session_manager.store.device_reads import DeviceReads
from lan_session_manager.store.event_reads import EventReads
from lan_session_manager.store.list_reads import ListReads
from lan_session_manager.store.message_reads import MessageReads
from lan_session_manager.store.queue_reads import QueueReads
from lan_session_manager.store.session_reads import SessionReads
from lan_session_manager.store.task_reads import TaskReads
from lan_session_manager.store.worker_leases import WorkerLeaseReads


class Reads(
    WorkerLeaseReads,
    SessionReads,
    DeviceReads,
    TaskReads,
    DependencyReads,
    ListReads,
    QueueReads,
    EventReads,
    MessageReads,
):
    """Reads over one connection, for one thread. Each method is one statement, and so one consistent view;
    a page of the list alone is made of several.

    Each raises BusyError or StorageError where the file cannot be read.
    """
