"""The house itself: packages and their charters, locks, the wheel, and what must not stand in the repository."""

import ast
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from fakes.machine import ROOT

PACKAGE = ROOT / "agent" / "heapwarden"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCKS = {lock.stem: lock for lock in sorted((ROOT / "requirements").glob("*.lock"))}
PACKAGES = sorted(file.parent for file in PACKAGE.rglob("__init__.py"))


def git(*arguments: str) -> str:
    """What git answers; grep's 1 (nothing found) is an answer."""
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


needs_git = pytest.mark.skipif(
    not (ROOT / ".git").exists(), reason="not a git checkout: nothing says what belongs to it"
)


def test_importing_it_under_the_folders_name_is_refused() -> None:
    """From the repository's root `agent.heapwarden` could be found; two copies of each class would result."""
    done = subprocess.run(
        [sys.executable, "-c", "import agent.heapwarden"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "import this package as 'heapwarden', not as 'agent.heapwarden'" in done.stderr


@pytest.mark.parametrize("package", [pytest.param(one, id=str(one.relative_to(PACKAGE.parent))) for one in PACKAGES])
def test_each_package_has_a_charter(package: Path) -> None:
    """Its docstring says what lives there: a sentence at least."""
    docstring = ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""
    assert len(docstring.split()) >= 6, f"{package.name} has no charter"
    assert docstring.split("\n")[0].endswith((".", ";", ":", ","))


def test_every_folder_of_modules_is_a_package() -> None:
    """A folder without __init__ would be left out by import-linter's layers."""
    assert {file.parent for file in PACKAGE.rglob("*.py")} == set(PACKAGES)


def normal(name: str) -> str:
    """As PEP 503 compares names."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(lock: Path) -> dict[str, str]:
    """Name and version of each entry."""
    found = re.findall(r"^([A-Za-z0-9_.-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", lock.read_text(), re.MULTILINE)
    return {normal(name): version for name, version in found}


def numbers(version: str) -> tuple[int, ...]:
    """Enough of PEP 440 for lower bounds."""
    return tuple(int(part) for part in re.findall(r"\d+", version))


EXTRAS = PROJECT["optional-dependencies"]


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        pytest.param("run", [*PROJECT["dependencies"], *EXTRAS["top"]], id="run"),
        pytest.param("dev", [*PROJECT["dependencies"], *EXTRAS["top"], *EXTRAS["dev"]], id="dev"),
        pytest.param("image", [*PROJECT["dependencies"], *EXTRAS["top"]], id="image"),
    ],
)
def test_locks_have_what_the_project_asks_for(lock: str, wanted: list[str]) -> None:
    """Every dependency, at its lower bound or above; the one version, where one is pinned."""
    found = locked(LOCKS[lock])
    for requirement in wanted:
        name, relation, bound = re.split(r"(>=|==)", requirement)
        assert normal(name) in found, requirement
        version = numbers(found[normal(name)])
        assert version == numbers(bound) if relation == "==" else version >= numbers(bound), requirement


@pytest.mark.parametrize("lock", ["run", "image"])
def test_what_runs_is_what_was_tested(lock: str) -> None:
    """Each version is dev.lock's."""
    run, dev = locked(LOCKS[lock]), locked(LOCKS["dev"])
    assert {name: dev.get(name) for name in run} == run


def test_the_image_has_no_build_tools() -> None:
    """Nor pip: what stands in the image is what runs."""
    assert not locked(LOCKS["image"]).keys() & {"hatchling", "editables", "pip", "setuptools", "wheel"}


@pytest.mark.parametrize("lock", LOCKS)
def test_locks_have_hashes_and_no_addresses(lock: str) -> None:
    """Each entry can be checked, from whichever index it is fetched."""
    text = LOCKS[lock].read_text()
    entries = [entry for entry in re.split(r"\n(?=\S)", text.strip()) if not entry.startswith("#")]
    assert len(entries) == len(locked(LOCKS[lock]))
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", entry) for entry in entries)
    assert "://" not in text
    assert "index-url" not in text


def test_the_npm_lock_names_no_registry() -> None:
    """`integrity` is there for each package and `resolved` for none, so that any registry or mirror serves."""
    packages = json.loads((ROOT / "tests" / "nodes" / "package-lock.json").read_text())["packages"]
    fetched = {name: entry for name, entry in packages.items() if name}
    assert fetched
    assert all("integrity" in entry and "resolved" not in entry for entry in fetched.values())


LOCAL = (
    r"/(work|home|Users)/[A-Za-z0-9_.-]+/|/root/\.(pyenv|venv|local)|/tmp/(hw|pytest)"
    r"|registry\.(npmjs|yarnpkg)|(files\.)?pythonhosted|pypi\.(org|python)|deb\.debian\.org"
)
EXAMPLES = re.compile(r"/home/(app|node|user|u|me|dev|deploy|[a-z])/")
"""Homes of nobody, in command lines that tests tell names from."""


@needs_git
def test_no_file_has_local_paths_or_registry_hosts() -> None:
    """Nothing here depends on, or tells of, the machine it was made on."""
    found = git("grep", "-nIE", LOCAL, "--", ".", ":!tests/test_house.py").splitlines()
    assert [line for line in found if re.search(LOCAL, EXAMPLES.sub("", line))] == []


@needs_git
def test_nothing_generated_is_in_git() -> None:
    """What tools make is made again."""
    files = git("ls-files").splitlines()
    assert len(files) > 100
    assert not [
        file for file in files if re.search(r"(^|/)(node_modules|__pycache__|\.venv|\.cache|dist|build)/", file)
    ]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built by the backend that pyproject names."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=True)
    (built,) = folder.glob("*.whl")
    return zipfile.ZipFile(built)


def test_the_wheel_has_all_that_runs(wheel: zipfile.ZipFile) -> None:
    """Every module, the reporter byte by byte, and the mark that types are shipped."""
    names = set(wheel.namelist())
    modules = {str(file.relative_to(PACKAGE.parent)) for file in PACKAGE.rglob("*.py")}
    assert modules <= names
    assert "heapwarden/py.typed" in names
    script = "heapwarden/reporter/heapwarden.cjs"
    assert wheel.read(script) == (PACKAGE.parent / script).read_bytes()


def test_the_wheel_has_nothing_else(wheel: zipfile.ZipFile) -> None:
    """No test, benchmark or cache is installed into anybody's site-packages."""
    roots = {name.split("/")[0] for name in wheel.namelist()}
    assert roots == {"heapwarden", f"heapwarden-{PROJECT['version']}.dist-info"}
    assert not [name for name in wheel.namelist() if "__pycache__" in name]


def test_the_wheel_has_the_command_and_the_licence(wheel: zipfile.ZipFile) -> None:
    """`heapwarden` on the PATH, and Apache-2.0 with it."""
    metadata = f"heapwarden-{PROJECT['version']}.dist-info"
    assert b"heapwarden = heapwarden.cli:main" in wheel.read(f"{metadata}/entry_points.txt")
    assert b"Apache License" in wheel.read(f"{metadata}/licenses/LICENSE")


def test_the_changelog_knows_the_version() -> None:
    """What is released has its heading; what is not stands under Unreleased, with something below it."""
    text = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(rf"^## (Unreleased|\[?{re.escape(PROJECT['version'])}\b)", text, re.MULTILINE)
    assert re.search(r"^- \[[A-Z]+\] [a-z-]+: ", text, re.MULTILINE)


def test_there_is_one_version() -> None:
    """The package's, the project's, and the reporter's."""
    assert f'__version__ = "{PROJECT["version"]}"' in (PACKAGE / "__init__.py").read_text()
    script = (PACKAGE / "reporter" / "heapwarden.cjs").read_text()
    assert re.findall(r"'(\d+\.\d+\.\d+)'", script) == [PROJECT["version"]]
