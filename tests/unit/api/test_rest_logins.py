"""Who guesses passwords is slowed down, and name and e-mail do as credentials only where that was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from api.server import create_app
from api.services import assemble
from orchestrator.accounts.lockout import FORGOTTEN, FREE_OF_EMAIL, FREE_OF_NETWORK, LONGEST

UNKNOWN = "5f" * 12


@dataclass
class From:
    """Speaks REST from an address."""

    world: Any
    address: str = "127.0.0.1"

    def status(self, email: str, password: str, **headers: str) -> int:
        return int(self.get(email, password, **headers).status_code)

    def get(self, email: str, password: str, **headers: str) -> Any:
        client = self.world.client(email, password)
        return client.send("GET", "/workflows", headers=headers, environ_base={"REMOTE_ADDR": self.address})

    def fail(self, times: int, email: str = "ann@mail") -> None:
        for _ in range(times):
            assert self.status(email, "wrong") == 401


@pytest.fixture
def local(world: Any, ann: Any) -> From:
    return From(world)


def test_five_wrong_passwords_cost_nothing_and_the_sixth_try_has_to_wait(world: Any, local: From) -> None:
    local.fail(FREE_OF_EMAIL)
    answer = local.get("ANN@mail", "ann")
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "1"
    assert answer.get_json()["error"]["code"] == ""
    assert answer.get_json()["error"]["message"]
    world.clock.pass_time(seconds=1)
    assert local.status("ann@mail", "ann") == 200


def test_the_delay_doubles_up_to_five_minutes(world: Any, local: From) -> None:
    local.fail(FREE_OF_EMAIL)
    seen = []
    for _ in range(11):
        wait = int(local.get("ann@mail", "wrong").headers["Retry-After"])
        seen.append(wait)
        world.clock.pass_time(seconds=wait)
        local.fail(1)
    assert seen == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert LONGEST.total_seconds() == 300


def test_a_try_that_is_too_early_is_not_verified_and_does_not_count(world: Any, local: From) -> None:
    local.fail(FREE_OF_EMAIL)
    world.hasher.verified = 0
    assert [local.status("ann@mail", "ann") for _ in range(5)] == [429] * 5
    assert world.hasher.verified == 0
    world.clock.pass_time(seconds=1)
    assert local.status("ann@mail", "ann") == 200


def test_an_unknown_email_is_treated_like_a_known_one(world: Any, local: From) -> None:
    answers = {}
    for address, email in (("10.0.0.1", "ann@mail"), ("10.0.0.2", "nobody@mail")):
        world.hasher.verified = 0
        tries = [From(world, address).get(email, "wrong") for _ in range(FREE_OF_EMAIL + 1)]
        answers[email] = [(a.status_code, a.headers.get("Retry-After"), a.data) for a in tries], world.hasher.verified
    assert answers["ann@mail"] == answers["nobody@mail"]


def test_a_network_that_tries_many_emails_has_to_wait(world: Any, local: From) -> None:
    guesser = From(world, "10.0.0.9")
    for number in range(FREE_OF_NETWORK):
        guesser.fail(1, f"user{number}@mail")
    assert guesser.status("ann@mail", "ann") == 429
    assert local.status("ann@mail", "ann") == 200


def test_an_ipv6_network_counts_as_one(world: Any, local: From) -> None:
    for number in range(FREE_OF_NETWORK):
        From(world, f"2001:db8::{number:x}").fail(1, f"user{number}@mail")
    assert From(world, "2001:db8::ffff").status("ann@mail", "ann") == 429
    assert From(world, "2001:db8:0:1::1").status("ann@mail", "ann") == 200


def test_failures_are_forgotten_an_hour_after_the_last_one(world: Any, local: From) -> None:
    local.fail(FREE_OF_EMAIL - 1)
    world.clock.pass_time(seconds=FORGOTTEN.total_seconds())
    local.fail(FREE_OF_EMAIL)
    assert local.status("ann@mail", "ann") == 429


def test_another_process_on_the_same_database_agrees(world: Any, local: From) -> None:
    local.fail(FREE_OF_EMAIL)
    services = assemble(world.db, world.runs, world.links, world.clock, broker=world.broker, fleet=world.broker)
    other = create_app(services)[0].test_client()
    answer = other.get("/api/v1/workflows", auth=("ann@mail", "ann"))
    assert answer.status_code == 429


def test_a_token_still_works_while_its_account_is_being_guessed_at(world: Any, ann: Any, local: From) -> None:
    bearer = world.client()
    bearer.authorization = f"Bearer {ann.post('/tokens').get_json()['token']}"
    local.fail(FREE_OF_EMAIL)
    assert ann.post("/tokens").status_code == 429
    assert bearer.get("/workflows").status_code == 200


def test_what_is_counted_names_nobody(world: Any, local: From) -> None:
    local.fail(1)
    assert "ann" not in str(list(world.db["login_failures"].find()))


class TryingOut:
    """The same server with WORKTY_NAME_EMAIL_LOGIN=1, and an account made without a password."""

    def __init__(self, world: Any) -> None:
        self.world = world
        services = assemble(
            world.db,
            world.runs,
            world.links,
            world.clock,
            broker=world.broker,
            fleet=world.broker,
            name_email_login=True,
        )
        world.app, _ = create_app(services)
        created = world.admin.post("/accounts", {"name": "myaccount", "email": "myemail@mail.com"}).get_json()
        self.initial, self.path = created["initialPassword"], f"/accounts/{created['_id']}"

    def status(self, address: str = "127.0.0.1", **headers: str) -> int:
        return From(self.world, address).status("myaccount", "myemail@mail.com", **headers)


@pytest.fixture
def trying(world: Any) -> TryingOut:
    return TryingOut(world)


def test_name_and_email_do_on_this_machine(trying: TryingOut) -> None:
    assert trying.status() == trying.status("::1") == trying.status("127.0.0.9") == 200
    assert From(trying.world).status("myaccount", "MyEmail@mail.com") == 200
    assert From(trying.world).status("myemail@mail.com", trying.initial) == 200


def test_name_and_email_do_not_do_by_default(world: Any) -> None:
    world.admin.post("/accounts", {"name": "myaccount", "email": "myemail@mail.com"})
    assert From(world).status("myaccount", "myemail@mail.com") == 401


@pytest.mark.parametrize("address", ["10.0.0.1", "", "2001:db8::1", "::ffff:10.0.0.1"])
def test_name_and_email_do_not_do_from_elsewhere(trying: TryingOut, address: str) -> None:
    assert trying.status(address) == 401


@pytest.mark.parametrize("header", ["Forwarded", "X-Forwarded-For", "X-Real-IP", "Via"])
def test_name_and_email_do_not_do_through_a_proxy(trying: TryingOut, header: str) -> None:
    assert trying.status(**{header: "127.0.0.1"}) == 401


@pytest.mark.parametrize("change", [{"password": "own"}, {"aclRoleNames": ["regular", "admin"]}, {"name": "other"}])
def test_name_and_email_do_not_do_any_more_after_a_change(trying: TryingOut, change: dict[str, Any]) -> None:
    assert trying.world.admin.put(trying.path, change).status_code == 200
    assert trying.status() == 401


def test_name_and_email_do_not_do_if_the_account_got_a_password_at_once(trying: TryingOut) -> None:
    trying.world.admin.post("/accounts", {"name": "bob", "email": "b@mail", "password": "x"})
    assert From(trying.world).status("bob", "b@mail") == 401


def test_a_name_that_two_accounts_have_does_not_do(trying: TryingOut) -> None:
    trying.world.admin.post("/accounts", {"name": "myaccount", "email": "second@mail.com"})
    assert trying.status() == From(trying.world).status("myaccount", "second@mail.com") == 401


def test_a_removed_account_is_told_so_by_name_and_email_too(trying: TryingOut) -> None:
    trying.world.admin.delete(trying.path)
    assert trying.status() == 403


def test_guessing_by_name_is_slowed_down_too(trying: TryingOut) -> None:
    From(trying.world).fail(FREE_OF_EMAIL, "myaccount")
    assert trying.status() == 429
