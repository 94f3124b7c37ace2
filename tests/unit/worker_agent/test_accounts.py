"""Which accounts steps get, and what keeps an account from what it needs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from worker_agent.accounts import NUMBERS, Account, Accounts, barrier
from worker_agent.errors import NotIsolated

OTHER = 60998


def test_the_first_folder_that_an_account_may_not_enter_is_named(tmp_path: Path) -> None:
    folder, inner = tmp_path / "a", tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    folder.chmod(0o700)
    found = barrier(OTHER, [inner])
    assert found
    assert found[1] == inner
    assert found[0] in (folder, *folder.parents)  # where tests may write may be closed already
    assert not found[0].stat().st_mode & 0o001


def test_what_everybody_may_enter_is_no_barrier() -> None:
    assert barrier(OTHER, [Path("/usr/bin"), Path("/")]) is None


@pytest.fixture
def as_root() -> None:
    assert os.getuid() == 0, "accounts of their own are for agents that are root: run these tests as root"


@pytest.mark.usefixtures("as_root")
def test_two_agents_never_have_the_same_account() -> None:
    one, other = Accounts(None, 2), Accounts(None, 2)
    try:
        found = [accounts.of(slot) for accounts in (one, other) for slot in (0, 1)]
        assert len({account.number for account in found}) == 4
        assert all(account.own and account.number in NUMBERS for account in found)
    finally:
        one.close()
        other.close()


@pytest.mark.usefixtures("as_root")
def test_an_account_that_is_named_serves_all_slots() -> None:
    assert Accounts(OTHER, 2).of(1) == Account(OTHER)
    assert Accounts(0, 2).of(1) == Account()


@pytest.mark.usefixtures("as_root")
def test_more_slots_than_free_accounts_are_refused() -> None:
    with pytest.raises(NotIsolated, match="WORKTY_SLOTS"):
        Accounts(None, len(NUMBERS) + 1)
