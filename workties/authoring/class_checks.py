"""Checks of a workty's class against itself and against its manifest. Pure: from what was read to findings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from workties.authoring.findings import Finding
from workties.authoring.lines import line_of
from workties.authoring.machine import machine_of, possible, triggers
from workties.authoring.source import PropertyReads, WorktyClass
from workties.manifest import MANIFEST, Manifest
from workties.ways import mistakes_of_states, mistakes_of_transitions, sources


def check_classes(file: str, classes: Sequence[WorktyClass]) -> Iterator[Finding]:
    """Mistakes in the classes of the file to start."""
    if len(classes) > 1:
        names = ", ".join(found.name for found in classes)
        text = f"the file defines {names}; leave one of them and move the others to another file"
        yield Finding(file, classes[1].line, text)
    for found in classes[:1]:
        if found.states is None or found.transitions is None:
            what = "states" if found.states is None else "transitions"
            text = f"{what} of {found.name} are not plainly written here, and were not checked"
            yield Finding(file, found.states_line, text, warning=True)
        elif found.states or not found.inherits:
            yield from _check_states(file, found, found.states)


def check_manifest_states(file: str, found: WorktyClass, manifest: Manifest, text: str) -> Iterator[Finding]:
    """States that manifest and class do not both have, if the manifest names any. `text` is the manifest's."""
    states = found.states or ()
    if not states or not manifest.states:
        return
    for state in manifest.states:
        if state not in states:
            what = f"states: {found.name} has no state {state!r}; it has {', '.join(states)}"
            yield Finding(MANIFEST, line_of(text, "states") or 0, what)
    for state in states:
        if state not in manifest.states:
            yield Finding(file, found.states_line, f"state {state!r} is missing among the states of {MANIFEST}")


def check_properties(reads: Mapping[str, PropertyReads], manifest: Manifest, text: str) -> Iterator[Finding]:
    """Properties that are read but not declared, or declared but never read. `reads` are those of each file."""
    declared = [each.name for each in manifest.properties]
    for file, found in reads.items():
        for name, line in dict(reversed(found.names)).items():
            if name not in declared:
                yield Finding(
                    file, line, f"property {name!r} is read, but {MANIFEST} does not declare it", warning=True
                )
    if any(found.others for found in reads.values()):
        return
    read = {name for found in reads.values() for name, _ in found.names}
    for index, name in enumerate(declared):
        if name not in read:
            line = line_of(text, f"properties[{index}].name") or 0
            yield Finding(MANIFEST, line, f"property {name!r} is declared, but never read", warning=True)


def _check_states(file: str, found: WorktyClass, states: tuple[str, ...]) -> Iterator[Finding]:
    transitions = found.transitions or ()
    for text in mistakes_of_states(states):
        yield Finding(file, found.states_line, f"{found.name}: {text}")
    if not states:
        return
    wrong = mistakes_of_transitions(states, [transition for transition, _ in transitions])
    for index, text in wrong:
        yield Finding(file, transitions[index][1], f"{found.name}: {text}")
    if found.initial and found.initial not in states:
        yield Finding(file, found.states_line, f"{found.name}: initial: {found.initial!r} is not among its states")
    for state, handler in found.handlers.items():
        if state not in states:
            text = f"on_enter_{state}: {found.name} has no state {state!r}; it has {', '.join(states)}"
            yield Finding(file, handler.line, text)
    if not wrong:
        mistaken = list(_check_triggers(file, found, states))
        yield from mistaken or _check_reachable(file, found)
        yield from _check_unused(file, found, states)
    if not found.inherits:
        yield from _check_idle(file, found, states)


def _check_triggers(file: str, found: WorktyClass, states: tuple[str, ...]) -> Iterator[Finding]:
    for state in states:
        has = triggers(found, state)
        handler = found.handlers.get(state)
        for trigger, line in handler.returns.triggers if handler else ():
            if trigger not in has:
                known = ", ".join(has) or "none"
                text = f"on_enter_{state} returns {trigger!r}, which is no trigger of state {state!r}; it has {known}"
                yield Finding(file, line, text)


def _check_idle(file: str, found: WorktyClass, states: tuple[str, ...]) -> Iterator[Finding]:
    """States in which nothing happens. The last one may be a mere name for the end."""
    for state in states[:-1]:
        if state not in found.handlers:
            text = f"state {state!r} does nothing: {found.name} has no on_enter_{state}"
            yield Finding(file, found.states_line, text, warning=True)


def _check_unused(file: str, found: WorktyClass, states: tuple[str, ...]) -> Iterator[Finding]:
    for way, line in found.transitions or ():
        wanted = [possible(found, state) for state in sources(way, states)]
        if all(each is not None and way["trigger"] not in each for each in wanted):
            yield Finding(file, line, f"no handler returns the trigger {way['trigger']!r}", warning=True)


def _check_reachable(file: str, found: WorktyClass) -> Iterator[Finding]:
    machine = machine_of(found)
    reachable = machine.reachable() if machine else set(found.states or ())
    for state in found.states or ():
        if state not in reachable:
            line = found.handlers[state].line if state in found.handlers else found.states_line
            yield Finding(file, line, f"state {state!r} is never entered; no other state leads to it")
