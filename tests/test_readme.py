"""The README: every command in it is run, in its order, and every link leads somewhere."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fakes.conditions import wait_for
from fakes.guides import Newcomer
from fakes.machine import ROOT, Answer, Program, free_port, get, program

README = (ROOT / "README.md").read_text()
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "deploy").rglob("*.md")),
]
AGENT_PORT, DEMO_PORT, SOCKET = "9797", "3000", "/tmp/heapwarden.sock"  # noqa: S108  as the README has it


def commands() -> list[str]:
    """The lines of its ``sh`` blocks, without their comments."""
    blocks = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.strip()]
    return [shlex.join(shlex.split(line, comments=True)) for line in lines]


@dataclass
class Reader:
    """Somebody who types what the README says, on a machine where its ports and its socket may be taken."""

    folder: Path
    stack: ExitStack
    agent_port: str = field(default_factory=lambda: str(free_port()))
    demo_port: str = field(default_factory=lambda: str(free_port()))
    environment: dict[str, str] = field(default_factory=dict)
    running: Program | None = None
    newcomer: Newcomer = field(default_factory=Newcomer)

    def own(self, command: str) -> str:
        """The command with ports and socket of this reader's own."""
        own = command.replace(f":{AGENT_PORT}", f":{self.agent_port}").replace(f":{DEMO_PORT}", f":{self.demo_port}")
        own = own.replace(SOCKET, str(self.folder / "agent.sock"))
        state = f"--state-dir {self.folder}/state"
        own = re.sub(r"^heapwarden (run|watch)", rf"heapwarden \1 --listen 127.0.0.1:{self.agent_port} {state}", own)
        return own.replace("heapwarden history", f"heapwarden history {state}")

    def shell(self) -> dict[str, str]:
        """The environment that commands are typed in."""
        mine = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PORT": self.demo_port,
            "HEAPWARDEN_URL": f"http://127.0.0.1:{self.agent_port}",
        }
        return {**os.environ, **mine}

    def run(self, command: str) -> str:
        """Type it, wait for its end; its output. It must succeed."""
        done = subprocess.run(
            shlex.split(self.own(command)),
            cwd=self.folder,
            env=self.shell(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, (command, done.stderr)
        return done.stdout

    def start(self, command: str) -> None:
        """Type it, and leave it running in a terminal of its own, in place of the one before."""
        if self.running is not None:
            self.running.process.terminate()
            self.running.wait()
        line = shlex.split(self.own(command))
        self.running = self.stack.enter_context(program(line, self.shell(), cwd=self.folder))
        wait_for(lambda: self.answers("/livez"))

    def get(self, path: str) -> Answer:
        """GET from the agent."""
        return get(f"http://127.0.0.1:{self.agent_port}{path}")

    def answers(self, path: str) -> bool:
        """Whether the agent is there yet."""
        try:
            return self.get(path).status == 200
        except OSError:
            return False

    def figure(self, name: str) -> float:
        """A figure of the demo app."""
        return next(one[name] or 0.0 for one in self.get("/processes").json["processes"] if one["process"] == "server")

    def heap_used(self) -> float:
        """Of the demo app, in MiB."""
        return (self.get("/healthz").json["memoryUsage"]["heapUsed"] or 0) / 2**20


def run_demo(reader: Reader, command: str) -> None:
    """The app runs, is watched, and comes to be healthy."""
    reader.start(command)
    wait_for(lambda: reader.get("/healthz").json["status"] == "healthy")


def ask_health(reader: Reader, command: str) -> None:
    """Healthy, with figures."""
    body = json.loads(reader.run(command))
    assert body["status"] == "healthy"
    assert body["memoryUsage"]["heapUsed"] > 2**20


def ask_metrics(reader: Reader, command: str) -> None:
    """For Prometheus."""
    assert 'heapwarden_heap_used_bytes{process="server"' in reader.run(command)


def look(reader: Reader, command: str) -> None:
    """The table (printed once, since here is no terminal)."""
    assert "server/0" in reader.run(command)


def leak(reader: Reader, command: str) -> None:
    """The heap grows."""
    before = reader.heap_used()
    reader.run(command)
    wait_for(lambda: reader.heap_used() > before + 20)


def block(reader: Reader, command: str) -> None:
    """While the loop stands still, the figures' age grows and health still answers."""
    with program(shlex.split(reader.own(command)), reader.shell()) as asking:
        wait_for(lambda: reader.figure("sampleAge") > 2.5, every=0.2)
        assert reader.get("/healthz").status == 200
        assert asking.process.poll() is None, "the block was over before the age had grown"
        assert asking.wait() == 0


def free(reader: Reader, command: str) -> None:
    """The app lets go, and can tell."""
    assert "heapUsed" in reader.run(command)


def install(reader: Reader, command: str) -> None:
    """Prints the environment, which the next step uses."""
    reader.environment = dict(line.split("=", 1) for line in reader.run(command).splitlines())
    assert set(reader.environment) == {"NODE_OPTIONS", "HEAPWARDEN_SOCKET"}


def watch(reader: Reader, command: str) -> None:
    """A process that is started with the printed environment reports to it."""
    reader.start(command)
    (reader.folder / "readme-app.js").write_text("setInterval(() => {}, 1000)")
    with program(("node", "readme-app.js"), {**reader.shell(), **reader.environment}, cwd=reader.folder) as app:
        listed = wait_for(
            lambda: [
                one for one in reader.get("/processes").json["processes"] if one["pid"] == app.pid and one["isolates"]
            ]
        )
        assert listed[0]["source"] == "reporter"


def check_config(reader: Reader, command: str) -> None:
    """The example's settings are right."""
    assert "config/heapwarden.yaml: right" in reader.run(command)


def run_limited(reader: Reader, command: str) -> None:
    """As before, with rules for restarts."""
    run_demo(reader, command)


def ask_while_drained(reader: Reader, command: str) -> None:
    """503 with the reason, and then a new process that is healthy."""
    before = reader.figure("pid")
    wait_for(lambda: reader.get("/healthz/server").status == 503, 60)
    body = json.loads(reader.run(command))
    assert "max_memory 200 MiB" in " ".join(body["reasons"])
    wait_for(lambda: (now := reader.get("/healthz/server")).status == 200 and now.json["status"] == "healthy", 60)
    assert reader.figure("pid") != before


def history(reader: Reader, command: str) -> None:
    """Each stage, and the end that it led to."""
    told = wait_for(lambda: (said := reader.run(command)) and "done" in said and said, every=0.5)
    for what in ("drain", "terminate", "successor", "memory_restart", "max_memory 200 MiB"):
        assert what in told


def in_cluster(reader: Reader, command: str) -> None:
    """What would be applied is right and safe, and what is spoken of was applied. tests/container runs the pod."""
    reader.newcomer.follow(command)


def pip_install(_: Reader, command: str) -> None:
    """What would be installed, with the extra; nothing is fetched or changed."""
    words = shlex.split(command)[1:]
    options = ("--dry-run", "--no-deps", "--no-build-isolation", "--disable-pip-version-check")
    done = subprocess.run(
        [sys.executable, "-m", "pip", *words, *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "does not provide the extra" not in done.stderr


def consult_doctor(reader: Reader, command: str) -> None:
    """It looks at the demo app; whatever else runs on this machine may have findings."""
    words = shlex.split(reader.own(command))
    done = subprocess.run(words, env=reader.shell(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (0, 1), done.stderr
    assert "server/0" in done.stdout


def check_rules(_: Reader, command: str) -> None:
    """The rules as they are committed."""
    *words, pattern = shlex.split(command)
    files = [str(file) for file in sorted(ROOT.glob(pattern))]
    done = subprocess.run([*words, *files], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


def make_run(_: Reader, __: str) -> None:
    """What CI does from nothing; here: that it starts the command which the guide below explains, on its address."""
    recipe = re.search(r"^run:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert recipe
    started = re.search(r"exec \$\(BIN\)/(heapwarden run) --listen 127\.0\.0\.1:9797 \$\(ARGS\) (-- .*)", recipe[1])
    assert started, recipe[1]
    assert f"{started[1]} {started[2]}" in commands()


def make_test(_: Reader, __: str) -> None:
    """What runs this test."""
    assert (ROOT / ".ci" / "run").read_text().rstrip().endswith("exec make test")


STEPS: dict[str, Callable[[Reader, str], None]] = {
    "make run": make_run,
    "make test": make_test,
    "pip install '.[top]'": pip_install,
    "heapwarden run -- node config/examples/demo/server.js": run_demo,
    "curl http://127.0.0.1:9797/healthz": ask_health,
    "curl http://127.0.0.1:9797/metrics": ask_metrics,
    "heapwarden top": look,
    "curl 'http://127.0.0.1:3000/leak?mib=20'": leak,
    "curl 'http://127.0.0.1:3000/block?ms=5000'": block,
    "curl http://127.0.0.1:3000/free": free,
    f"heapwarden reporter install ./heapwarden-reporter --socket {SOCKET}": install,
    f"heapwarden watch --socket {SOCKET}": watch,
    "heapwarden check-config config/heapwarden.yaml": check_config,
    "heapwarden run --config config/examples/restart.yaml -- node config/examples/demo/server.js": run_limited,
    "curl http://127.0.0.1:9797/healthz/server": ask_while_drained,
    "heapwarden history": history,
    "heapwarden doctor": consult_doctor,
    "promtool check rules 'dashboards/prometheus/*.rules.yaml'": check_rules,
}


IN_CLUSTER = ("docker build ", "kubectl ", "helm install ")
"""How commands begin that need a cluster."""
STEPS |= {command: in_cluster for command in commands() if command.startswith(IN_CLUSTER)}


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """In a folder that looks like the repository's, and may be written."""
    (tmp_path / "config").symlink_to(ROOT / "config")
    with ExitStack() as stack:
        yield Reader(tmp_path, stack)


def test_every_command_is_accounted_for() -> None:
    """A command that is added to the README needs a step here, and a step its command."""
    assert set(commands()) == set(STEPS)


def test_every_command_does_what_is_said_of_it(reader: Reader) -> None:
    """In the README's order, with real processes."""
    for command in commands():
        STEPS[command](reader, command)


def links(page: Path) -> Iterator[str]:
    """Targets of links and images within the repository, without those in code."""
    text = re.sub(r"^```.*?^```|`[^`\n]*`", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:", target):
            yield target


def anchors(page: Path) -> set[str]:
    """Of its headings, as GitHub and GitLab make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    """Files that are there, and headings that are there."""
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or target.is_dir() or anchor in anchors(target), link


def test_the_readme_has_links() -> None:
    """A check of nothing proves nothing."""
    assert len(list(links(ROOT / "README.md"))) > 5


def test_the_picture_fetches_nothing() -> None:
    """No font, style or script from elsewhere, and no path of whoever drew it."""
    picture = (ROOT / "docs" / "images" / "top.svg").read_text()
    assert set(re.findall(r"https?://[^\"'\s)]+", picture)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"@font-face|@import|<script|<image|/home/|/root/|/tmp/", picture)
    for name in ("degraded", "healthy", "unknown"):
        assert name in picture
