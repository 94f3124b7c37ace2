"""What docs/policies.md says of fields and values; that its examples do what it says is an acceptance test."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest

from api.client import parse_definition
from api.client.policies import FIELDS, to_rest
from orchestrator.workflows.policies import MAX_DEADLINE, MIN_DEADLINE
from workties.errors import BadMessage
from workties.manifest import parse_manifest
from workties.messages import FAILURE_CODES, camel
from workties.policy import RETRIED, Policy, parse_policy

TEXT = Path("docs/policies.md").read_text(encoding="utf-8")
ROWS = [line.strip("| ").split(" | ") for line in TEXT.splitlines() if line.startswith("| `")]
NAMES = [field.name for field in dataclasses.fields(Policy)]
TABLE = {row[0].strip("`"): row for row in ROWS if row[0].strip("`") in NAMES and len(row) == 4}
HEAD = 'name = "a"\nversion = "1"\nlanguage = "python"\nentry = "main.py"\n'


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, flags=re.DOTALL)


@pytest.mark.parametrize("definition", blocks("yaml"))
def test_every_definition_is_one_whose_policies_the_server_takes(definition: str) -> None:
    for step in parse_definition(definition).steps:
        assert parse_policy(to_rest(step.policy), camel).keys() == step.policy.keys()


def test_the_table_of_a_manifest_and_the_body_of_a_request_are_good_ones() -> None:
    [manifest], [body] = blocks("toml"), blocks("json")
    assert parse_manifest(HEAD + manifest).policy.exit_codes == (75,)
    assert parse_policy(json.loads(body)["policy"], camel)["on_failure"] == "skip"


def test_all_fields_are_documented_with_their_defaults_and_known_to_the_client() -> None:
    assert list(TABLE) == NAMES == list(FIELDS)
    plain = {
        name: value for name, value in dataclasses.asdict(Policy()).items() if isinstance(value, int | float | str)
    }
    assert {name: json.loads(TABLE[name][2]) for name in plain if name != "on_failure"} == {
        name: value for name, value in plain.items() if name != "on_failure"
    }
    assert TABLE["on_failure"][2] == f"`{Policy().on_failure}`"


@pytest.mark.parametrize("name", [name for name, row in TABLE.items() if re.search(r"\d to \d", row[1])])
def test_values_are_bounded_as_documented(name: str) -> None:
    least, most = (json.loads(number) for number in re.findall(r"([\d.]+) to ([\d.]+)", TABLE[name][1])[0])
    for value in (least, most):
        parse_policy({name: [value] if name == "exit_codes" else value})
    for value in (least - 1, most + 1):
        with pytest.raises(BadMessage):
            parse_policy({name: [value] if name == "exit_codes" else value})


def test_the_failures_that_count_are_documented() -> None:
    counts = {row[0].strip("`"): row[2] for row in ROWS if len(row) == 3}
    assert {code for code, counted in counts.items() if counted == "yes"} == FAILURE_CODES
    assert counts.keys() == RETRIED


def test_the_bounds_of_a_deadline_are_documented() -> None:
    assert f"`deadline` is {MIN_DEADLINE:g} to {MAX_DEADLINE:.0f} seconds ({MAX_DEADLINE / 86400:.0f} days)" in TEXT
