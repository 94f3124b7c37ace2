"""How long the processes of a server keep what they store."""

from __future__ import annotations

from datetime import timedelta

import pytest

from api.cli.server import core_over
from orchestrator.catalogue.packages import PackageLinks
from orchestrator.settings import ServerSettings
from tests.unit.orchestrator.runs.world import World
from workties import messages as m


@pytest.mark.parametrize(("log_days", "run_days", "kept"), [(30.0, 365.0, 30), (30.0, 7.0, 7)])
def test_lines_are_kept_as_long_as_is_set_and_no_longer_than_runs(log_days: float, run_days: float, kept: int) -> None:
    world = World()
    board, workflow = world.board(), world.workflow(1)
    world.core.runs.start(workflow)
    world.drive(board, "state")
    run, instance, attempt = world.key(workflow)
    settings = ServerSettings(log_days=log_days, run_days=run_days)
    core = core_over(world.database, world, world, PackageLinks(b"secret", "http://server"), settings)  # type: ignore[arg-type]
    lines = (m.LogLine("2026-01-01T00:00:00Z", "out", "hello"),)
    said = m.Log(
        id="1", at="now", board=board.id, run=run, instance=instance, attempt=attempt, seq=9, lines=lines, dropped=0
    )
    core.logs.keep(core.logs.origins([run])[run], [said])
    stored = world.database["run_logs"].find_one({})
    assert stored is not None
    assert stored["expires"] - stored["at"] == timedelta(days=kept)
