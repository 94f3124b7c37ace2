"""The life cycles, and the page that shows them."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.runs.machine import IllegalTransition, run_life_cycle, step_life_cycle
from orchestrator.runs.tables import page


def test_an_illegal_transition_is_refused_and_the_error_names_state_and_trigger() -> None:
    with pytest.raises(IllegalTransition, match="A step in state 'completed' cannot 'begin'"):
        step_life_cycle().after("completed", "begin")


def test_an_unknown_trigger_is_refused() -> None:
    with pytest.raises(IllegalTransition, match="cannot 'dance'"):
        step_life_cycle().after("initial", "dance")


def test_nothing_leads_out_of_a_final_state_of_a_run() -> None:
    assert {row[0] for row in run_life_cycle().rows()} == {"waiting", "running", "pausing", "paused", "stopping"}


def test_the_page_about_states_is_up_to_date() -> None:
    assert Path("docs/states.md").read_text(encoding="utf-8") == page(), "Run: make states"
