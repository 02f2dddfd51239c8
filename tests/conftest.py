"""What all tests share."""

import signal

import pytest
from hypothesis import settings

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell has it for what runs in its background
    signal.signal(signal.SIGINT, signal.default_int_handler)  # or no program started here could be interrupted

settings.register_profile("unhurried", deadline=None)  # a loaded machine is no fault in the code
settings.load_profile("unhurried")


collect_ignore = ["container"]
"""Run by `make test-container` alone, which names the folder."""


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio, as the agent does."""
    return "asyncio"
