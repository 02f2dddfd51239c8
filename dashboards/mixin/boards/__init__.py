"""The three Grafana dashboards: Fleet, Process and Agent.

Built with Grafana's foundation SDK and completed by :mod:`mixin.boards.finish`. Fleet asks for recorded series, so that
ten thousand processes cost no more than ten; Process and Agent ask for what is scraped, and need no rules.
"""

import json
from typing import Any

from mixin.boards.agent import BOARD as AGENT
from mixin.boards.board import model
from mixin.boards.fleet import BOARD as FLEET
from mixin.boards.process import BOARD as PROCESS

_BOARDS = (FLEET, PROCESS, AGENT)


def boards() -> dict[str, dict[str, Any]]:
    """Each dashboard's JSON model by its uid."""
    return {board.uid: model(board) for board in _BOARDS}


def files() -> dict[str, str]:
    """``grafana/<uid>.json`` for each."""
    return {
        f"grafana/{uid}.json": json.dumps(board, indent=2, ensure_ascii=False) + "\n" for uid, board in boards().items()
    }
