"""All exceptions that Heapwarden raises. "No data" is not among them: a source that has nothing gives nothing."""

from typing import Literal


class HeapwardenError(Exception):
    """The root; its text is for the person who reads the log, and names the next step."""


class SettingsError(HeapwardenError):
    """The configuration is wrong; the text gives path, line, column and what would be right."""


class FrameRefusedError(HeapwardenError):
    """A reporter's frame broke the protocol. ``reason`` is bounded and counted."""

    def __init__(self, reason: str, detail: str) -> None:
        """Keep the bounded ``reason`` apart from the ``detail`` for the log."""
        super().__init__(detail)
        self.reason = reason


class SocketUnavailableError(HeapwardenError):
    """The reporters' socket can't be had: another agent holds it, or the place is not ours to write."""


class ActuationError(HeapwardenError):
    """A process could not be asked to end, or ended by force. Nothing was done to any other."""

    def __init__(self, text: str, *, in_doubt: bool = False) -> None:
        """``in_doubt``: it may end all the same, because nobody knows whether it was asked to."""
        super().__init__(text)
        self.in_doubt = in_doubt


class KubernetesError(HeapwardenError):
    """The Kubernetes API refused, or could not be asked."""

    def __init__(
        self,
        text: str,
        status: int = 0,
        *,
        retry_after_seconds: float | None = None,
        causes: frozenset[str] = frozenset(),
    ) -> None:
        """``status`` is HTTP's, 0 where there was no answer: then what was asked for may be done or not.

        ``retry_after_seconds`` is as the API said it, and ``causes`` are the machine-readable ones of its answer.
        """
        super().__init__(text)
        self.status = status
        self.retry_after_seconds = retry_after_seconds
        self.causes = causes


class RequestRefusedError(HeapwardenError):
    """Somebody asked for something that is not done now; nothing was. ``code`` is bounded.

    ``unknown``: no such process or worker. ``busy``: it is under way already. ``off``: the settings forbid it.
    ``not_possible``: any other reason, which the text gives.
    """

    def __init__(self, code: Literal["unknown", "busy", "off", "not_possible"], text: str) -> None:
        """Keep the bounded ``code`` apart from the ``text`` for people."""
        super().__init__(text)
        self.code = code


class JournalError(HeapwardenError):
    """The journal can't be had. Nothing in it was changed."""


class JournalDamagedError(JournalError):
    """The journal's file does not hold what was written to it."""


class ListenError(HeapwardenError):
    """The HTTP address can't be had."""


class CommandNotStartedError(HeapwardenError):
    """The command to run and watch did not start. ``exit_code`` follows the shell: 127 not found, 126 not runnable."""

    def __init__(self, message: str, exit_code: int) -> None:
        """Keep the shell's ``exit_code`` beside the message."""
        super().__init__(message)
        self.exit_code = exit_code
