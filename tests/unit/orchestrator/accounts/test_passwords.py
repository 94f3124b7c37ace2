"""Passwords: what is verified, what is remembered of it and for how long."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from argon2 import PasswordHasher

from orchestrator.accounts import passwords as module
from orchestrator.accounts.passwords import Passwords, default_hasher, generated_password


class Counting(PasswordHasher):
    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.verified = 0

    def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # type: ignore[override]  # noqa: A002
        self.verified += 1
        return super().verify(hash, password)


class Clock:
    now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def hasher() -> Counting:
    return Counting()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def passwords(hasher: Counting, clock: Clock) -> Passwords:
    return Passwords(clock, hasher)


def test_a_right_password_is_remembered_for_a_minute(passwords: Passwords, hasher: Counting, clock: Clock) -> None:
    stored = passwords.hash("right")
    assert all(passwords.matches(stored, "right") for _ in range(3))
    assert hasher.verified == 1
    clock.now += timedelta(seconds=60)
    assert passwords.matches(stored, "right")
    assert hasher.verified == 2


def test_a_wrong_password_is_verified_each_time(passwords: Passwords, hasher: Counting) -> None:
    stored = passwords.hash("right")
    assert not any(passwords.matches(stored, wrong) for wrong in ("wrong", "wrong", "", "\ud800"))
    assert hasher.verified == 4


def test_what_is_remembered_belongs_to_one_hash_only(passwords: Passwords) -> None:
    assert passwords.matches(passwords.hash("old"), "old")
    assert not passwords.matches(passwords.hash("new"), "old")


def test_without_a_hash_nothing_matches_and_as_much_is_computed(passwords: Passwords, hasher: Counting) -> None:
    assert not passwords.matches(None, "anything")
    assert not passwords.matches("no hash", "anything")
    assert hasher.verified == 2


def test_only_so_many_are_remembered(passwords: Passwords, hasher: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CAPACITY", 2)
    stored = [(passwords.hash(text), text) for text in "abc"]
    for pair in stored:
        assert passwords.matches(*pair)
    hasher.verified = 0
    assert passwords.matches(*stored[2])
    assert passwords.matches(*stored[1])
    assert hasher.verified == 0
    assert passwords.matches(*stored[0])
    assert hasher.verified == 1


def test_hashes_are_argon2id_and_generated_passwords_long() -> None:
    assert default_hasher().hash("x").startswith("$argon2id$")
    assert len({generated_password() for _ in range(100)}) == 100
    assert len(generated_password()) == 32
