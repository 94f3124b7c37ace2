"""Definitions of workflows: what is read, and how what is wrong is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.client import BadDefinition, parse_definition, read_definition
from api.client.definition import SIZE_LIMIT

GOOD = """
name: nightly
desc: Copies the photos
deadline: 90.5
steps:
  - workty: without-delay
  - workty: with-delay
    name: wait
    desc: A moment
    properties: {delay: 2, list: [1, {a: null}], "on": true}
    policy: {retries: 2, retry_on: [exit], exit_codes: [75], backoff: 1.5, cleanup: false, timeout: null}
"""


def problems(text: str | bytes) -> list[str]:
    with pytest.raises(BadDefinition) as refused:
        parse_definition(text, "night.yml")
    assert all(line.startswith("night.yml: ") for line in str(refused.value).splitlines())
    return list(refused.value.problems)


def test_a_definition_is_read_with_all_its_parts() -> None:
    found = parse_definition(GOOD)
    assert (found.name, found.desc, found.deadline) == ("nightly", "Copies the photos", 90.5)
    first, second = found.steps
    assert (first.workty, first.name, first.desc, dict(first.properties)) == ("without-delay", "", "", {})
    assert (second.workty, second.name, second.desc) == ("with-delay", "wait", "A moment")
    assert second.properties == {"delay": 2, "list": [1, {"a": None}], "on": True}
    policy = {"retries": 2, "retry_on": ["exit"], "exit_codes": [75], "backoff": 1.5, "cleanup": False}
    assert (first.policy, second.policy) == ({}, policy)


def test_unknown_keys_wrong_types_and_what_is_missing_are_told_all_at_once_with_their_place() -> None:
    text = "nme: x\nsteps:\n  - {workty: 5, propertis: {}}\n  - {name: a}\n  - text\n  - {workty: a, properties: [1]}\n"
    assert problems(text) == [
        "the document: unknown key 'nme'. Known are name, steps, desc, deadline",
        "the document: name is missing",
        "step 1: unknown key 'propertis'. Known are workty, name, desc, version, properties, policy",
        "step 1: workty: expected a text, got 5; write it in quotes",
        "step 2: workty is missing",
        "step 3: expected workty, name, desc, version, properties, policy, got 'text'",
        "step 4: properties: expected names with values, got a list",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the document: expected name, steps, desc, deadline, got nothing"),
        ("- a", "the document: expected name, steps, desc, deadline, got a list"),
        ("name: a\nsteps: []", "steps: expected at least one step"),
        ("name: a\nsteps: {}", "steps: expected a list, got a mapping"),
        ("name: ' '\nsteps: [{workty: a}]", "name: expected a text, got none"),
        (f"name: {'x' * 257}\nsteps: [{{workty: a}}]", "name: expected at most 256 characters, got 257"),
        (f"name: a\nsteps: [{'{workty: a},' * 501}]", "steps: expected at most 500, got 501"),
    ],
)
def test_a_document_of_another_form_is_refused(text: str, problem: str) -> None:
    assert problems(text) == [problem]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("2020-01-01", "'p': a date is nothing that JSON knows; write it in quotes"),
        (f"0x{'f' * 5000}", "'p': has a whole number that is too large"),
        (".nan", "'p': nan is no number that JSON knows"),
        ("{1: 2}", "'p': has a key that is no text; write it in quotes"),
        ("!!binary aGk=", "'p': a bytes is nothing that JSON knows; write it in quotes"),
        (f"'{'x' * 70_000}'", "'p': has 70002 bytes as JSON, expected at most 65536"),
        ("[" * 40 + "]" * 40, "'p': has more than 10000 values or 32 levels"),
        ("&a [*a]", "'p': has more than 10000 values or 32 levels"),
    ],
)
def test_a_value_that_is_none_of_json_or_too_large_is_refused(value: str, problem: str) -> None:
    told = problems(f"name: a\nsteps: [{{workty: a, properties: {{p: {value}}}}}]")
    assert told == [f"step 1: properties: {problem}"]


@pytest.mark.parametrize(
    ("policy", "problem"),
    [
        ("skip", "policy: expected retries, retry_on, exit_codes, "),
        ("{tries: 1}", "policy: unknown key 'tries'. Known are retries, retry_on, "),
        ("{retryOn: [exit]}", "policy: unknown key 'retryOn'. Known are "),
        ("{retries: 1.5}", "policy: retries: expected a whole number, got 1.5"),
        ("{retries: true}", "policy: retries: expected a whole number, got true"),
        ("{retry_on: exit}", "policy: retry_on: expected a list of texts, got 'exit'"),
        ("{exit_codes: [a]}", "policy: exit_codes: expected a list of whole numbers, got a list"),
        ("{backoff: 5s}", "policy: backoff: expected a number, got '5s'"),
        (f"{{retries: 0x{'f' * 5000}}}", "policy: retries: expected a whole number, got a large number"),
        ("{backoff: .nan}", "policy: backoff: expected a number, got nan"),
        ("{on_failure: {}}", "policy: on_failure: expected a text, got a mapping"),
        ("{cleanup: 1}", "policy: cleanup: expected true or false, got 1"),
    ],
)
def test_a_policy_of_unknown_fields_or_other_types_is_refused(policy: str, problem: str) -> None:
    [told] = problems(f"name: a\nsteps: [{{workty: a, policy: {policy}}}]")
    assert told.startswith(f"step 1: {problem}")


@pytest.mark.parametrize("deadline", ["soon", "true", ".inf", "[1]"])
def test_a_deadline_is_a_number_of_seconds(deadline: str) -> None:
    [told] = problems(f"name: a\ndeadline: {deadline}\nsteps: [{{workty: a}}]")
    assert told.startswith("deadline: expected a number of seconds, got ")


def test_a_small_text_that_means_a_huge_value_is_refused_at_once() -> None:
    lines = ["name: a", "steps:", "  - workty: a", "    properties:", "      a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"      a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert any("more than 10000 values" in problem for problem in problems("\n".join(lines)))


def test_a_property_name_that_yaml_takes_for_something_else_is_told() -> None:
    told = problems("name: a\nsteps: [{workty: a, properties: {on: 1}}]")
    assert told == ["step 1: properties: 'True' is no text; write it in quotes"]


@pytest.mark.parametrize("text", ["name: [", "a: b: c", "name: a\n\tsteps:", "!!python/object:os.system x", "name: *x"])
def test_what_is_no_yaml_is_told_with_line_and_column(text: str) -> None:
    [problem] = problems(text)
    assert problem.startswith("line ")
    assert ": is no YAML: " in problem


@pytest.mark.parametrize("text", [b"\xff\xfe\xfa", b"name: \x00", "[" * 5000])
def test_what_cannot_be_read_at_all_is_told(text: str | bytes) -> None:
    [problem] = problems(text)
    assert "is no YAML" in problem


def test_a_file_that_is_too_large_or_cannot_be_read_is_told(tmp_path: Path) -> None:
    large = tmp_path / "large.yml"
    large.write_bytes(b"#" * (SIZE_LIMIT + 1))
    with pytest.raises(BadDefinition, match="is larger than 1024 KiB"):
        read_definition(large)
    with pytest.raises(BadDefinition, match="cannot be read: No such file"):
        read_definition(tmp_path / "none.yml")


def test_a_file_is_read_as_a_text_is(tmp_path: Path) -> None:
    file = tmp_path / "night.yml"
    file.write_text(GOOD)
    assert read_definition(file).steps == parse_definition(GOOD).steps
    assert read_definition(file).place == str(file)
