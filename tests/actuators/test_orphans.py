"""What a command leaves behind. Each test is a process of its own: who takes in orphans does so to the end."""

import subprocess
import sys

PREPARED = """
import asyncio, os, signal, subprocess, threading
from heapwarden.actuators import own
from heapwarden.actuators.orphans import Orphans

def sleeper(**options):
    return subprocess.Popen(["sleep", "300"], **options).pid

def left_behind():
    "The pid of an orphan: its parent has ended when this returns."
    command = "sleep 300 > /dev/null & echo $!"
    return int(subprocess.run(["sh", "-c", command], stdout=subprocess.PIPE, check=True).stdout)

def bury(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
"""


def in_a_process(script: str) -> None:
    """Run it to its good end."""
    done = subprocess.run(
        [sys.executable, "-c", PREPARED + script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_an_orphan_is_seen_until_it_has_ended() -> None:
    """It is ours as soon as its parent is gone; once only its exit code is left, it holds nothing any more."""
    in_a_process("""
orphans = Orphans()
assert orphans.left() == []
orphan = left_behind()
assert orphans.left() == [orphan]
os.kill(orphan, signal.SIGKILL)
os.waitid(os.P_PID, orphan, os.WEXITED | os.WNOWAIT)
assert orphans.left() == []
os.waitpid(orphan, 0)
assert orphans.left() == []
""")


def test_what_orphans_have_started_is_seen_too() -> None:
    """The whole tree: any of them may hold a port."""
    in_a_process("""
orphans = Orphans()
command = "(sleep 300 > /dev/null & echo $!; exec >&-; wait) & echo $!"
pids = {int(pid) for pid in subprocess.run(["sh", "-c", command], stdout=subprocess.PIPE, check=True).stdout.split()}
assert len(pids) == 2
assert set(orphans.left()) == pids
for pid in orphans.left():  # the first one's end hands the second one over
    bury(pid)
""")


def test_it_waits_for_the_end_of_all() -> None:
    """Whatever their order; the last one counts."""
    in_a_process("""
async def main():
    orphans = Orphans()
    pids = [left_behind() for _ in range(3)]
    gone = asyncio.create_task(orphans.gone())
    for pid in reversed(pids):
        await asyncio.sleep(0)
        assert not gone.done()
        bury(pid)
    await asyncio.wait_for(gone, 30)
    await asyncio.wait_for(orphans.gone(), 30)

asyncio.run(main())
""")


def test_what_ran_before_and_the_agents_own_programs_are_no_orphans() -> None:
    """Nor is what those have started."""
    in_a_process("""
before = sleeper()
orphans = Orphans()
shell = subprocess.Popen(["sh", "-c", "sleep 300 > /dev/null & echo $!; exec >&-; wait"], stdout=subprocess.PIPE)
below = int(shell.stdout.read())
with own.starting() as register:
    register(shell.pid)
with own.starting() as register:
    register(2**22 + 1)  # a pid that no process can have: one that has just ended
assert orphans.left() == []
orphan = left_behind()
assert orphans.left() == [orphan]
os.kill(below, signal.SIGKILL)
for pid in (before, orphan):
    bury(pid)
shell.wait(30)
""")


def test_what_any_thread_has_started_is_seen() -> None:
    """Each thread has children of its own; those of one that has ended belong to another."""
    in_a_process("""
orphans = Orphans()
pids = []
done, go = threading.Event(), threading.Event()
def work():
    pids.append(sleeper())
    done.set()
    go.wait(30)
threads = [threading.Thread(target=work) for _ in range(2)]
threads[0].start()
go.set()
threads[0].join()
go.clear()
done.clear()
threads[1].start()
assert done.wait(30)
assert sorted(orphans.left()) == sorted(pids)
go.set()
for pid in pids:
    bury(pid)
""")


def test_not_every_process_of_the_machine_is_looked_at() -> None:
    """It takes place on the event loop: with thousands of other processes it must take no longer."""
    in_a_process("""
import sys
opened = []
orphans = Orphans()
orphan = left_behind()
sys.addaudithook(lambda event, args: opened.append(args[0]) if event in ("open", "os.listdir") else None)
assert orphans.left() == [orphan]
assert "/proc" not in opened and f"/proc/{os.getppid()}/stat" not in opened
assert any(str(orphan) in str(path) for path in opened)
bury(orphan)
""")


def test_no_more_are_looked_for_than_people_would_read() -> None:
    """A command that leaves thousands behind must not hold up the event loop; all of them are waited for."""
    in_a_process("""
from heapwarden.actuators import orphans as module
module.MOST_LEFT = 3
orphans = Orphans()
command = "(for i in 1 2 3 4 5; do sleep 300 > /dev/null & done; exec >&-; wait) & echo $!"
root = int(subprocess.run(["sh", "-c", command], stdout=subprocess.PIPE, check=True).stdout)
while len(below := module.children(root)) < 5:
    pass
assert len(orphans.left()) == 3
assert set(orphans.left()) <= {root, *below}
for pid in (root, *below):
    bury(pid)
assert orphans.left() == []
""")


def test_a_kernel_that_lists_no_children_is_searched() -> None:
    """Slower, and as right."""
    in_a_process("""
from heapwarden.actuators import children
sleeping = sleeper()
children._listed_by_the_kernel = lambda: False
assert children.children(sleeping) == []
assert children._searched(os.getpid()) == children.children(os.getpid()) == [sleeping]
assert children.children(2**22 + 1) == []
bury(sleeping)
""")


def test_the_command_line_does_not_load_psutil() -> None:
    """It would be a fifth of the time of `heapwarden --version`."""
    in_a_process("""
import sys
import heapwarden.cli.main
assert "psutil" not in sys.modules
""")
