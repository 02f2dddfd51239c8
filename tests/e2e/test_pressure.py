"""What an app hears of the pressure it is under, and what the example makes of it."""

import subprocess
from pathlib import Path

import pytest

from fakes.conditions import wait_for
from fakes.machine import APPS, NODE_MAJORS, Program, agent, get, node

CONFIG = "sample_interval: 200ms\n"


@pytest.mark.parametrize("major", NODE_MAJORS)
def test_the_example_shrinks_its_cache_sheds_load_and_recovers(tmp_path: Path, major: int) -> None:
    """128 MiB of heap: elevated halves the cache, high answers 503 and empties it, room again and it serves again."""
    with agent(tmp_path, CONFIG) as watcher:
        command = [node(major), "--expose-gc", "--max-old-space-size=128", APPS / "pressed.cjs", "0"]
        process = subprocess.Popen(
            [str(part) for part in command],
            env=watcher.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        app = Program(process)
        assert process.stdin is not None

        def hold(mib: int) -> None:
            assert process.stdin is not None
            process.stdin.write(f"{mib}\n")
            process.stdin.flush()

        def level() -> object:
            answer = watcher.get("/pressure/pressed")
            return answer.json["level"] if answer.status == 200 else None

        try:
            port = int(app.line("listening on").split()[-1])
            url = f"http://127.0.0.1:{port}"
            wait_for(lambda: level() == "normal", 60)
            for number in range(20):
                assert get(f"{url}/{number}").text.startswith("normal")
            hold(75)
            wait_for(lambda: get(f"{url}/0").text.startswith("elevated"), 60)
            assert int(get(f"{url}/0").text.split()[1]) <= 12
            hold(110)
            wait_for(lambda: get(f"{url}/0").status == 503, 60)
            assert level() in ("high", "critical")
            hold(0)
            wait_for(lambda: get(f"{url}/0").text.startswith("normal"), 60)
            assert int(get(f"{url}/0").text.split()[1]) == 1
            assert watcher.get("/pressure/nobody").status == 404
        finally:
            process.stdin.close()
            process.terminate()
            process.wait()
            app.gathered()
