"""Writes the life cycles as a page for people: `python -m orchestrator.runs.tables > docs/states.md`."""

from __future__ import annotations

import sys

from orchestrator.runs.machine import LifeCycle, board_life_cycle, run_life_cycle, step_life_cycle

_INTRODUCTION = """# States

Generated from `orchestrator/runs/machine.py`: do not edit, run `make states`. What is not in a table cannot happen.
Which trigger a command or a board's event pulls is decided in `orchestrator/runs/decide.py`.
"""


def page() -> str:
    """The whole page, Markdown."""
    sections = [_section(cycle) for cycle in (step_life_cycle(), run_life_cycle(), board_life_cycle())]
    return _INTRODUCTION + "\n" + "\n".join(sections)


def _section(cycle: LifeCycle) -> str:
    rows = cycle.rows()
    graph = "\n".join(f"    {source} --> {dest}: {trigger}" for source, trigger, dest in rows)
    table = "\n".join(f"| `{source}` | {trigger} | `{dest}` |" for source, trigger, dest in rows)
    return (
        f"## A {cycle.name}\n\n```mermaid\nstateDiagram-v2\n    [*] --> {cycle.states[0]}\n{graph}\n```\n\n"
        f"| from | trigger | to |\n|---|---|---|\n{table}\n"
    )


if __name__ == "__main__":
    sys.stdout.write(page())
