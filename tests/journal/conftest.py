"""What the journal's tests share."""

import pytest

from fakes.journalled import be_patient


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines are the subject of some tests, which set them; to the others they would be chance."""
    be_patient(monkeypatch)
