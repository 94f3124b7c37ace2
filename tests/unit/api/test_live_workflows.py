"""Workflows and their instances over the live API (live API contract, section 4): what is told, and to whom."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from orchestrator.workflows.instances import MAX_INSTANCES
from tests.unit.api.live_ears import Ears, ears

UNKNOWN = "5f" * 12
NO = (500, "UnexpectedError")
CONTEXT = "workflows"


@pytest.fixture
def heard(world: Any, live_url: str, ann: Any, bob: Any) -> Iterator[Ears]:
    with ears(world, live_url, CONTEXT, ann, bob) as found:
        yield found


def made(heard: Ears, **body: Any) -> Any:
    told = heard.asked("sv.workflow.add", {"workflow": {"name": "nightly"} | body})
    return told["workflow"]


def added(world: Any, heard: Ears, workflow: Any, name: str = "", **position: Any) -> Any:
    about = {"id": workflow["id"], "worktyInstance": {"name": name, "desc": "does it"}, **position}
    payload = {"workflow": about, "workty": {"id": world.template("with-delay")}}
    return heard.asked("sv.workflow.add.workty.instance", payload)["workflow"]


def names(workflow: Any) -> str:
    return "".join(instance["name"] for instance in workflow["worktiesInstances"])


# --- workflows


def test_a_new_workflow_is_told_to_every_socket_of_its_owner(ann: Any, heard: Ears) -> None:
    told = made(heard, desc="every night", accountId=UNKNOWN, created="1999", unknown=1)
    stored = ann.get(f"/workflows/{told['id']}").get_json()
    assert told == {
        "id": stored["_id"],
        "name": "nightly",
        "desc": "every night",
        "created": stored["created"],
        "accountId": stored["accountId"],
        "run": None,
        "worktiesInstances": [],
    }


def test_a_workflow_without_a_name_is_not_added(ann: Any, heard: Ears) -> None:
    for wrong in ({"desc": "d"}, {"name": " ", "desc": "d"}, {"name": 5}, {"name": "x" * 257}):
        assert heard.refused("sv.workflow.add", {"workflow": wrong}) == (409, "MissingParameter", "")
    told = heard.one.ask(CONTEXT, "sv.workflow.add", {"workflow": {"desc": "d"}})
    assert told["err"]["body"]["error"]["errors"] == [{"message": "Path `name` is required."}]
    assert ann.get("/workflows").get_json() == []


def test_a_refresh_tells_the_asker_every_workflow_with_its_instances(world: Any, heard: Ears) -> None:
    assert heard.answered("sv.workflow.refresh.all", {}) == [{"workflow": {}}]
    first, second = made(heard, name="one"), made(heard, name="two")
    full = added(world, heard, second)
    full.pop("worktyInstance")
    assert heard.answered("sv.workflow.refresh.all", {}) == [{"workflow": first}, {"workflow": full}]
    assert heard.answered("sv.workflow.refresh", {"workflow": {"id": second["id"].upper()}}) == [{"workflow": full}]
    page = {"sort": "-name", "per_page": 1, "page_num": 2}
    assert heard.answered("sv.workflow.refresh.all", page) == [{"workflow": first}]
    assert heard.one.ask(CONTEXT, "sv.workflow.refresh.all")["count"] == 2
    assert heard.one.ask(CONTEXT, "sv.workflow.refresh", {"workflow": {"id": first["id"]}})["count"] == 1


def test_an_admin_reaches_everybodys_workflows_from_its_own_namespace(heard: Ears) -> None:
    workflow = made(heard)
    assert heard.answered("sv.workflow.refresh.all", {}, by=heard.admin) == [{"workflow": workflow}]
    changed = {"workflow": {"id": workflow["id"], "name": "renamed"}}
    assert heard.asked("sv.workflow.upd", changed, by=heard.admin)["workflow"]["name"] == "renamed"
    gone = {"workflow": {"id": workflow["id"]}}
    assert heard.asked("sv.workflow.del", gone, by=heard.admin) == {"workflow": {"id": workflow["id"], "deleted": True}}


def test_a_page_that_cannot_be_is_told(heard: Ears) -> None:
    for wrong in ({"per_page": 251}, {"per_page": -1}, {"per_page": "x"}, {"page_num": -1}):
        assert heard.refused("sv.workflow.refresh.all", wrong) == (400, "BadDigest", "")


def test_a_change_of_a_workflow_is_told(world: Any, heard: Ears) -> None:
    workflow = made(heard)
    added(world, heard, workflow, "a")
    changed = {"workflow": {"id": workflow["id"], "name": "weekly", "desc": "all of it", "worktiesInstancesIds": []}}
    told = heard.asked("sv.workflow.upd", changed)["workflow"]
    assert (told["name"], told["desc"], names(told)) == ("weekly", "all of it", "a")
    assert heard.answered("sv.workflow.refresh", {"workflow": {"id": workflow["id"]}}) == [{"workflow": told}]


def test_a_change_of_nothing_and_an_empty_name_are_refused(heard: Ears) -> None:
    about = {"id": made(heard)["id"]}
    for nothing in ({}, {"unknown": 1}, {"accountId": UNKNOWN}, {"worktiesInstancesIds": []}):
        assert heard.refused("sv.workflow.upd", {"workflow": about | nothing}) == (400, "BadDigest", "")
    assert heard.refused("sv.workflow.upd", {"workflow": about | {"name": ""}}) == (409, "MissingParameter", "")


def test_a_deleted_workflow_is_told_once(ann: Any, heard: Ears) -> None:
    about = {"workflow": {"id": made(heard)["id"]}}
    assert heard.asked("sv.workflow.del", about) == {"workflow": about["workflow"] | {"deleted": True}}
    assert heard.refused("sv.workflow.del", about) == (*NO, 4)
    assert ann.get("/workflows").get_json() == []


def test_what_is_done_over_rest_is_told_in_the_same_words(world: Any, ann: Any, heard: Ears) -> None:
    workflow = ann.post("/workflows", {"name": "nightly"}).get_json()["_id"]
    assert heard.told()["workflow"]["id"] == workflow
    path = f"/workflows/{workflow}/worktiesInstances"
    first, second = (
        ann.post(path, {"worktyId": world.template("with-delay"), "name": name}).get_json() for name in "ab"
    )
    assert [told["workflow"]["worktyInstance"]["id"] for told in heard.heard(heard.one)] == [
        first["_id"],
        second["_id"],
    ]
    heard.heard(heard.other)
    ann.put(f"/workflows/{workflow}", {"worktiesInstancesIds": [second["_id"], first["_id"]]})
    assert names(heard.told()["workflow"]) == "ba"
    ann.put(f"{path}/{first['_id']}", {"position_type": "first"})
    told = heard.told()["workflow"]
    assert (names(told), told["worktyInstance"]["id"]) == ("ab", first["_id"])
    ann.put(f"{path}/{first['_id']}/properties/{first['propertiesIds'][0]['_id']}", {"value": 9})
    assert heard.told()["workflow"]["worktyInstance"]["propertiesIds"][0]["value"] == 9
    ann.delete(f"{path}/{first['_id']}")
    assert heard.told()["workflow"]["worktyInstance"] == {"id": first["_id"], "worktyInstanceDeleted": True}
    ann.delete(f"/workflows/{workflow}")
    assert heard.told() == {"workflow": {"id": workflow, "deleted": True}}


def test_what_is_refused_over_rest_is_told_to_nobody(ann: Any, heard: Ears) -> None:
    workflow = made(heard)["id"]
    assert ann.put(f"/workflows/{workflow}", {"name": ""}).status_code == 409
    assert ann.put(f"/workflows/{workflow}/running").status_code == 409
    assert ann.post(f"/workflows/{workflow}/worktiesInstances", {"worktyId": UNKNOWN}).status_code == 404
    assert heard.heard(heard.one) == []


# --- instances


def test_a_new_instance_is_told_with_its_workflow(world: Any, ann: Any, heard: Ears) -> None:
    workflow = made(heard)
    told = added(world, heard, workflow, "copy")
    instance = told.pop("worktyInstance")
    assert told == workflow | {"worktiesInstances": [instance]}
    stored = ann.get(f"/workflows/{workflow['id']}/worktiesInstances", embed="properties").get_json()[0]
    properties = [
        {"id": entry["_id"], "name": entry["name"], "value": entry["value"]} for entry in stored["propertiesIds"]
    ]
    assert instance == {
        "id": stored["_id"],
        "worktyId": world.template("with-delay"),
        "name": "copy",
        "desc": "does it",
        "state": "initial",
        "propertiesIds": properties,
        "attempt": 0,
        "progress": None,
        "worktyState": None,
        "checkpointed": None,
        "reason": None,
        "device": None,
    }


def test_an_instance_goes_where_it_is_told_or_to_the_end(world: Any, heard: Ears) -> None:
    workflow = made(heard)
    first = added(world, heard, workflow, "a")["worktyInstance"]
    assert names(added(world, heard, workflow, "b")) == "ab"
    assert names(added(world, heard, workflow, "c", position_type="first")) == "cab"
    assert names(added(world, heard, workflow, "d", position_type="last", position_index=0)) == "cabd"
    assert names(added(world, heard, workflow, "e", position_index=1, position_id=first["id"])) == "ceabd"
    assert names(added(world, heard, workflow, "f", position_id=first["id"])) == "cefabd"


@pytest.mark.parametrize(
    ("position", "code"),
    [
        ({"position_index": 2}, 10),
        ({"position_index": -1}, 10),
        ({"position_index": "x"}, 10),
        ({"position_id": UNKNOWN}, 11),
        ({"position_id": 5}, 11),
        ({"position_type": "middle"}, 12),
    ],
)
def test_a_place_that_there_is_not_is_refused(world: Any, heard: Ears, position: dict[str, Any], code: int) -> None:
    workflow = made(heard)
    added(world, heard, workflow, "a")
    about = {"id": workflow["id"], "worktyInstance": {"desc": "d"}, **position}
    payload = {"workflow": about, "workty": {"id": world.template("with-delay")}}
    assert heard.refused("sv.workflow.add.workty.instance", payload) == (*NO, code)
    [told] = heard.answered("sv.workflow.refresh", {"workflow": {"id": workflow["id"]}})
    assert names(told["workflow"]) == "a"


def test_a_template_that_costs_is_not_used_unbought(world: Any, heard: Ears) -> None:
    workflow = made(heard)
    dear = world.admin.post("/workties", {"name": "dear", "template": True, "price": 1}).get_json()["_id"]
    private = world.admin.post("/workties", {"name": "private"}).get_json()["_id"]
    payload = {"workflow": {"id": workflow["id"], "worktyInstance": {"desc": "d"}}}
    event = "sv.workflow.add.workty.instance"
    assert heard.refused(event, payload | {"workty": {"id": dear}}) == (*NO, 17)
    assert heard.refused(event, payload | {"workty": {"id": private}}) == (*NO, 2)
    assert heard.asked(event, payload | {"workty": {"id": dear}}, by=heard.admin)["workflow"]["worktyInstance"]


def test_a_workflow_takes_no_more_instances_than_fit(world: Any, heard: Ears) -> None:
    workflow = made(heard)
    added(world, heard, workflow)
    ids = [world.db["workflows"].find_one({})["worktiesInstancesIds"][0]] * MAX_INSTANCES
    world.db["workflows"].update_one({}, {"$set": {"worktiesInstancesIds": ids}})
    payload = {"workflow": {"id": workflow["id"], "worktyInstance": {"desc": "d"}}}
    payload["workty"] = {"id": world.template("with-delay")}
    assert heard.refused("sv.workflow.add.workty.instance", payload) == (*NO, 6)


def test_a_change_of_an_instance_is_told_and_its_state_is_not_the_clients(world: Any, heard: Ears) -> None:
    workflow = made(heard)
    instance = added(world, heard, workflow, "a")["worktyInstance"]
    changes = {"name": "b", "desc": "other", "state": "completed", "stateId": UNKNOWN, "position_type": "first"}
    payload = {"workflow": {"id": workflow["id"], "worktyInstance": {"id": instance["id"], **changes}}}
    told = heard.asked("sv.workflow.upd.workty.instance", payload)["workflow"]
    assert told["worktyInstance"] == instance | {"name": "b", "desc": "other"}
    assert told["worktiesInstances"] == [told["worktyInstance"]]
    for nothing in ({}, {"state": "completed"}, {"stateId": UNKNOWN}, {"position_type": "first"}):
        payload["workflow"]["worktyInstance"] = {"id": instance["id"], **nothing}
        assert heard.refused("sv.workflow.upd.workty.instance", payload) == (400, "BadDigest", "")


def test_an_instance_gets_another_version_of_its_workty(world: Any, ann: Any, heard: Ears) -> None:
    workflow = made(heard)
    instance = added(world, heard, workflow, "a")["worktyInstance"]
    world.db["workty_instances"].update_many({}, {"$unset": {"version": True}})
    about = {"id": instance["id"], "version": "latest"}
    payload = {"workflow": {"id": workflow["id"], "worktyInstance": about}}
    told = heard.asked("sv.workflow.upd.workty.instance", payload)["workflow"]
    assert told["worktyInstance"] == instance
    [stored] = ann.get(f"/workflows/{workflow['id']}/worktiesInstances").get_json()
    assert stored["version"] == "1.0"
    about["version"] = "unknown"
    assert heard.refused("sv.workflow.upd.workty.instance", payload)[0] == 409


def test_an_instance_gets_a_policy_and_a_workflow_a_deadline(world: Any, heard: Ears) -> None:
    workflow = made(heard, deadline=60)
    assert workflow["deadline"] == 60
    about: dict[str, Any] = {"id": workflow["id"], "worktyInstance": {"policy": {"retries": 2}}}
    payload = {"workflow": about, "workty": {"id": world.template("with-delay")}}
    told = heard.asked("sv.workflow.add.workty.instance", payload)["workflow"]
    assert (told["worktyInstance"]["policy"], told["deadline"]) == ({"retries": 2}, 60)
    about["worktyInstance"] = {"id": told["worktyInstance"]["id"], "policy": {"onFailure": "explode"}}
    assert heard.refused("sv.workflow.upd.workty.instance", payload)[0] == 409
    about["worktyInstance"]["policy"] = {"onFailure": "skip"}
    told = heard.asked("sv.workflow.upd.workty.instance", payload)["workflow"]
    assert told["worktyInstance"]["policy"] == {"onFailure": "skip"}
    about["worktyInstance"]["policy"] = None
    assert "policy" not in heard.asked("sv.workflow.upd.workty.instance", payload)["workflow"]["worktyInstance"]
    assert heard.refused("sv.workflow.upd", {"workflow": {"id": workflow["id"], "deadline": 0}})[0] == 409
    told = heard.asked("sv.workflow.upd", {"workflow": {"id": workflow["id"], "deadline": None}})["workflow"]
    assert "deadline" not in told


def test_a_change_of_a_property_is_told_with_its_instance(world: Any, heard: Ears) -> None:
    workflow = made(heard)
    instance = added(world, heard, workflow, "a")["worktyInstance"]
    property_id = instance["propertiesIds"][0]["id"]

    def payload(**changes: Any) -> dict[str, Any]:
        about = {"id": instance["id"], "property": {"id": property_id, **changes}}
        return {"workflow": {"id": workflow["id"], "worktyInstance": about}}

    event = "sv.workflow.upd.workty.instance.property"
    for value in (0, False, None, "", {"a": [1, "ä"]}, 1.5):
        told = heard.asked(event, payload(value=value))["workflow"]
        assert told["worktyInstance"]["propertiesIds"] == [{"id": property_id, "name": "delay", "value": value}]
        assert told["worktiesInstances"] == [told["worktyInstance"]]
    assert heard.asked(event, payload(name="wait"))["workflow"]["worktyInstance"]["propertiesIds"][0]["name"] == "wait"
    assert heard.refused(event, payload()) == (400, "BadDigest", "")
    assert heard.refused(event, payload(name="")) == (409, "MissingParameter", "")
    assert heard.refused(event, payload(value="x" * 70_000)) == (409, "MissingParameter", "")


def test_a_deleted_instance_is_told_and_is_not_in_the_list_any_more(world: Any, heard: Ears) -> None:
    workflow = made(heard)
    gone, stays = (added(world, heard, workflow, name)["worktyInstance"] for name in "ab")
    payload = {"workflow": {"id": workflow["id"], "worktyInstance": {"id": gone["id"]}}}
    told = heard.asked("sv.workflow.del.workty.instance", payload)["workflow"]
    assert told == workflow | {
        "worktiesInstances": [stays],
        "worktyInstance": {"id": gone["id"], "worktyInstanceDeleted": True},
    }
    assert heard.refused("sv.workflow.del.workty.instance", payload) == (*NO, 4)


def test_an_instance_is_only_reached_through_its_own_workflow(world: Any, heard: Ears) -> None:
    workflow, other = made(heard), made(heard)
    instance = added(world, heard, other, "a")["worktyInstance"]
    about = {"id": workflow["id"], "worktyInstance": {"id": instance["id"], "name": "b"}}
    assert heard.refused("sv.workflow.upd.workty.instance", {"workflow": about}) == (*NO, 3)
    assert heard.refused("sv.workflow.del.workty.instance", {"workflow": about}) == (*NO, 4)
    about["worktyInstance"]["property"] = {"id": instance["propertiesIds"][0]["id"], "value": 1}
    assert heard.refused("sv.workflow.upd.workty.instance.property", {"workflow": about}) == (*NO, 2)


def test_workflows_lose_the_instances_of_a_deleted_workty_and_their_owners_are_told(
    world: Any, bob: Any, heard: Ears
) -> None:
    template = world.admin.post("/workties", {"name": "doomed", "template": True}).get_json()["_id"]
    workflow = made(heard)
    kept = added(world, heard, workflow, "kept")["worktyInstance"]
    about = {"workflow": {"id": workflow["id"], "worktyInstance": {"desc": "d"}}, "workty": {"id": template}}
    lost = [heard.asked("sv.workflow.add.workty.instance", about)["workflow"]["worktyInstance"]["id"] for _ in "ab"]
    theirs = bob.post("/workflows", {"name": "bob's"}).get_json()["_id"]
    bob.post(f"/workflows/{theirs}/worktiesInstances", {"worktyId": template})
    heard.heard(heard.stranger)
    assert world.admin.delete(f"/workties/{template}").status_code == 204
    told = heard.heard(heard.one)
    assert heard.heard(heard.other) == told
    assert [message["workflow"]["id"] for message in told] == [workflow["id"]] * 2
    assert [message["workflow"]["worktyInstance"] for message in told] == [
        {"id": instance, "worktyInstanceDeleted": True} for instance in lost
    ]
    assert all(message["workflow"]["worktiesInstances"] == [kept] for message in told)
    [other] = heard.heard(heard.stranger)
    assert (other["workflow"]["id"], other["workflow"]["worktiesInstances"]) == (theirs, [])
    # The admin asked for it, and hears of all three in its own namespace.
    assert len(heard.heard(heard.admin)) == 3


def test_every_answer_and_change_carries_the_name_of_its_request(heard: Ears) -> None:
    for name in ("", "x" * 128, 0, -1, 1.5, 2**40):
        told = heard.one.ask(CONTEXT, "sv.workflow.add", {"workflow": {"name": "n"}, "requestId": name})
        assert told == {"err": None, "requestId": name}
        [message] = heard.heard(heard.other)
        assert message["requestId"] == name
    for wrong in ("x" * 129, True, [1], {"a": 1}):
        told = heard.one.ask(CONTEXT, "sv.workflow.add", {"workflow": {"name": "n"}, "requestId": wrong})
        assert (told["err"]["statusCode"], "requestId" in told) == (400, False)


def test_what_is_changed_is_in_the_audit_trail(world: Any, ann: Any, heard: Ears) -> None:
    workflow = made(heard)
    added(world, heard, workflow)
    assert heard.refused("sv.workflow.upd", {"workflow": {"id": UNKNOWN, "name": "x"}}) == (*NO, 3)
    heard.answered("sv.workflow.refresh.all", {})
    found = world.admin.get("/audit", entityId=workflow["id"], sort="created").get_json()
    told = [(entry["operation"], entry["entity"], entry["result"], entry["accountId"]) for entry in found]
    events = ("sv.workflow.add", "sv.workflow.add.workty.instance")
    assert sorted(told) == [(event, "workflow", "done", world.account_id(ann)) for event in events]


def test_a_workflow_that_is_removed_takes_its_drawings_along(world: Any, ann: Any, heard: Ears, live_url: str) -> None:
    workflow = made(heard)["id"]
    with world.live(live_url, ann, "uisettings") as client:
        saved = {"workflowId": workflow, "json": "{}"}
        assert client.ask("uisettings", "sv.uiSettings.save.workflow", saved)["err"] is None
    heard.asked("sv.workflow.del", {"workflow": {"id": workflow}})
    assert world.db["ui_settings"].count_documents({}) == 0
