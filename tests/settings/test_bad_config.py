"""The gallery of bad configs: each file with the exact message that it gets."""

from pathlib import Path

import pytest

from heapwarden.domain.errors import SettingsError
from heapwarden.settings import parse

GALLERY = Path(__file__).parents[1] / "bad_config"
ENVIRONMENT = {"PORT": "9797", "EMPTY": "", "TOKEN": "0123456789abcdef"}


def test_the_gallery_is_there() -> None:
    """Each file has its message, and each message its file."""
    files = {path.stem for path in GALLERY.glob("*.yaml")}
    assert len(files) > 140
    assert files == {path.stem for path in GALLERY.glob("*.txt")}


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in sorted(GALLERY.glob("*.yaml"))])
def test_bad_config(path: Path) -> None:
    """The place, the path, what is wrong and what would be right, word for word."""
    with pytest.raises(SettingsError) as caught:
        parse(path.read_text(), path.name, ENVIRONMENT)
    assert f"{caught.value}\n" == path.with_suffix(".txt").read_text()
