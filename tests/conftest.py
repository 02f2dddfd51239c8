"""What all tests share."""

import pytest
from hypothesis import settings

settings.register_profile("unhurried", deadline=None)  # a loaded machine is no fault in the code
settings.load_profile("unhurried")


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio, as the agent does."""
    return "asyncio"
