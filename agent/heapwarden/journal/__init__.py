"""SQLite: restarts and events, kept beyond the agent's own life.

Everything that touches the file runs in one thread of its own; the event loop only hands over and waits with a
deadline. What is read back is checked as any other input. Trouble with the file is never the agent's: it goes on
without, says so, and tries again.
"""

from heapwarden.journal.journal import SqliteJournal
from heapwarden.journal.place import FILE_NAME

__all__ = ["FILE_NAME", "SqliteJournal"]
