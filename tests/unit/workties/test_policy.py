"""What a manifest and an instance may say of failures, and which of them counts."""

from __future__ import annotations

from typing import Any

import pytest

from workties.errors import BadMessage, BadPackage
from workties.manifest import parse_manifest
from workties.messages import camel
from workties.policy import Policy, parse_policy, policy_document, policy_of, policy_view

HEAD = 'name = "a"\nversion = "1"\nlanguage = "python"\nentry = "main.py"\n'


def test_a_step_is_not_tried_again_unless_somebody_says_so() -> None:
    assert parse_manifest(HEAD).policy == Policy(retries=0, on_failure="fail")


def test_a_manifest_says_what_happens_when_its_steps_fail() -> None:
    text = f'{HEAD}[policy]\nretries = 3\nretry_on = ["timeout"]\nbackoff = 10\non_failure = "skip"\n'
    assert parse_manifest(text).policy == Policy(retries=3, retry_on=("timeout",), backoff=10.0, on_failure="skip")


@pytest.mark.parametrize("line", ["timeout = 5", "grace = 5", "cleanup = true", "tries = 3"])
def test_a_manifest_knows_no_field_of_instances(line: str) -> None:
    with pytest.raises(BadPackage, match=rf"policy\.{line.split(maxsplit=1)[0]}: unknown key; known are backoff, "):
        parse_manifest(f"{HEAD}[policy]\n{line}\n")


def test_clients_spell_fields_as_json_does() -> None:
    given = parse_policy({"retryOn": ["exit"], "exitCodes": [75], "onFailure": "cleanup"}, camel)
    assert given == {"retry_on": ("exit",), "exit_codes": (75,), "on_failure": "cleanup"}
    assert policy_view(given) == {"retryOn": ["exit"], "exitCodes": [75], "onFailure": "cleanup"}


def test_what_an_instance_says_comes_before_what_the_manifest_says() -> None:
    manifest = policy_document(Policy(retries=1, backoff=5.0, exit_codes=(1, 2)))
    assert policy_of(manifest, {"retries": 4}) == Policy(retries=4, backoff=5.0, exit_codes=(1, 2))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"retries": 101}, "retries: expected a whole number from 0 to 100"),
        ({"retries": True}, "retries: expected a whole number"),
        ({"retryOn": None}, "retryOn: expected a list of up to 9 texts, got None"),
        ({"retryOn": ["bad-luck"]}, "retryOn: expected one of board-lost, crash"),
        ({"exitCodes": [256]}, "exitCodes: expected a whole number from 0 to 255"),
        ({"backoffFactor": 0.5}, "backoffFactor: expected a number from 1 to 100"),
        ({"jitter": 2}, "jitter: expected a number from 0 to 1"),
        ({"onFailure": "explode"}, "onFailure: expected one of cleanup, fail, skip"),
        ({"timeout": 0}, "timeout: expected a number from 0.001"),
        ({"retry_on": []}, "retry_on: unknown key; known are backoff"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_its_name(body: dict[str, Any], message: str) -> None:
    with pytest.raises(BadMessage, match=message):
        parse_policy(body, camel)
