"""Hooks: what somebody wants done before a process is asked to end, or once its successor is there."""

import asyncio
import logging
from dataclasses import dataclass

from heapwarden.actuators.context import body, environment
from heapwarden.actuators.programs import Program
from heapwarden.actuators.request import post
from heapwarden.domain.restart import Hook, Restart

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Done:
    """How a hook went."""

    ok: bool
    """It ended in time, with exit code 0 or a 2xx."""
    text: str
    """For people: what it was, how it ended, and the end of its output."""


async def run_hook(hook: Hook, restart: Restart) -> Done:
    """Run one hook within its timeout; never raises. Cancelled, it is killed with all that it has started."""
    done = await (_command(hook, restart) if hook.command else _url(hook, restart))
    log.log(logging.INFO if done.ok else logging.WARNING, "%s", done.text, extra={"restart": restart.id})
    return done


async def _command(hook: Hook, restart: Restart) -> Done:
    program = Program(hook.command, environment(restart), hook.timeout_seconds)
    try:
        ended = await asyncio.wrap_future(program.ended)
    except asyncio.CancelledError:
        program.kill()
        raise
    return Done(ended.ok, f"hook {hook.command[0]}: {ended.text}")


async def _url(hook: Hook, restart: Restart) -> Done:
    answer = await post(hook.url, body(restart), hook.timeout_seconds)
    return Done(answer.ok, f"hook {answer.text}")
