"""What happens to a drawing when its workflow goes at the same time."""

from __future__ import annotations

import pytest

from orchestrator.errors import NotFound
from tests.unit.orchestrator.services import World


def test_a_drawing_of_a_workflow_that_is_deleted_meanwhile_is_not_left_behind() -> None:
    world = World()
    world.before["ui_settings", "update_one"] = lambda: world.workflows.delete(world.ann, world.workflow)
    with pytest.raises(NotFound):
        world.drawings.save(world.ann, world.workflow, "{}")
    assert world.db["ui_settings"].count_documents({}) == 0
