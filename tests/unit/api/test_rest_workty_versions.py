"""Versions of worktys over REST: what is kept, what instances run, and what becomes of properties."""

from __future__ import annotations

from typing import Any

import pytest
from bson import ObjectId

from orchestrator.runs.snapshot import Snapshots
from tests.unit.api.zips import APP, base64_text, zipped

MANIFEST = 'name = "copier"\nversion = "{version}"\nlanguage = "python"\nentry = "main.py"\nstates = ["copying"]\n'
PROPERTY = '[[properties]]\nname = "{name}"\ntype = "any"\ndefault = {default}\n'


def package(version: str, code: str = "", **properties: str) -> bytes:
    """A package with these properties and their defaults, as TOML spells them."""
    declared = "".join(PROPERTY.format(name=name, default=default) for name, default in properties.items())
    return zipped(workty__toml=MANIFEST.format(version=version) + declared, main__py=code or version)


def push(world: Any, path: str, data: bytes) -> Any:
    return world.admin.put(path, {"compressedCode": base64_text(data)})


@pytest.fixture
def copier(world: Any) -> str:
    """A template of version 1.0, with the properties `from` and `delay`."""
    code = base64_text(package("1.0", **{"from": '"here"', "delay": "1"}))
    made = world.admin.post("/workties", {"name": "copier", "template": True, "compressedCode": code})
    assert made.status_code == 201, made.get_json()
    return f"/workties/{made.get_json()['_id']}"


@pytest.fixture
def instances(ann: Any) -> str:
    return f"/workflows/{ann.post('/workflows', {'name': 'nightly'}).get_json()['_id']}/worktiesInstances"


def add(client: Any, instances: str, copier: str, **body: Any) -> Any:
    return client.post(instances, {"worktyId": copier.rpartition("/")[2], **body})


def values(record: Any) -> dict[str, Any]:
    return {found["name"]: found["value"] for found in record["propertiesIds"]}


def ids(record: Any) -> dict[str, str]:
    return {found["name"]: found["_id"] for found in record["propertiesIds"]}


def workty(world: Any, copier: str) -> Any:
    return world.admin.get(copier, embed="properties").get_json()


def versions(client: Any, copier: str, **query: Any) -> list[str]:
    return [found["version"] for found in client.get(f"{copier}/versions", **query).get_json()]


def runs(world: Any, instance: Any) -> tuple[str, str | None]:
    """Version and package that a run of the instance would have."""
    [step] = Snapshots(world.db).steps([ObjectId(instance["_id"])])
    return step.program.version, step.package.sha256 if step.package else None


def digest(world: Any, copier: str, version: str) -> str:
    [found] = world.admin.get(f"{copier}/versions", version=version).get_json()
    return str(found["sha256"])


def problem(answer: Any) -> str:
    assert answer.status_code == 409, answer.get_json()
    [found] = answer.get_json()["error"]["errors"]
    return str(found["message"])


# --- what is kept


def test_versions_are_listed_newest_first_with_what_they_declare(world: Any, ann: Any, copier: str) -> None:
    world.clock.pass_time(seconds=1)
    push(world, copier, package("1.1"))
    newest, first = ann.get(f"{copier}/versions").get_json()
    assert (newest["version"], newest["properties"], newest["states"]) == ("1.1", [], ["copying"])
    assert first["properties"] == [
        {"name": "from", "type": "any", "default": "here", "description": ""},
        {"name": "delay", "type": "any", "default": 1, "description": ""},
    ]
    assert list(first) == ["_id", "version", "created", "size", "sha256", "properties", "states", "policy"]
    assert workty(world, copier)["version"] == "1.1"
    assert versions(ann, copier, sort="created", per_page=1) == ["1.0"]


def test_a_version_tells_what_its_manifest_says_of_failures(world: Any, ann: Any, copier: str) -> None:
    world.clock.pass_time(seconds=1)
    manifest = MANIFEST.format(version="1.1") + "[policy]\nretries = 2\nexit_codes = [75]\n"
    push(world, copier, zipped(workty__toml=manifest, main__py=""))
    world.db["workty_versions"].update_one({"version": "1.0"}, {"$unset": {"policy": True}})
    newest, first = ann.get(f"{copier}/versions").get_json()
    assert newest["policy"] == first["policy"] | {"retries": 2, "exitCodes": [75]}
    assert (first["policy"]["retries"], first["policy"]["onFailure"], "timeout" in first["policy"]) == (
        0,
        "fail",
        False,
    )


def test_other_code_under_a_version_that_is_there_is_refused_and_changes_nothing(world: Any, copier: str) -> None:
    before = workty(world, copier)
    assert problem(push(world, copier, package("1.0", "other", more="1"))) == (
        "Path `compressedCode` is not usable: workty 'copier' has version 1.0 already, with other code; "
        "raise `version` in workty.toml."
    )
    assert workty(world, copier) == before
    assert versions(world.admin, copier) == ["1.0"]


def test_the_same_bytes_again_are_no_error_and_change_nothing(world: Any, copier: str) -> None:
    path = f"{copier}/properties/{ids(workty(world, copier))['delay']}"
    world.admin.put(path, {"property": {"value": 7}})
    before, kept = workty(world, copier), world.admin.get(f"{copier}/versions").get_json()
    assert push(world, copier, package("1.0", **{"from": '"here"', "delay": "1"})).status_code == 200
    assert workty(world, copier) == before
    assert world.admin.get(f"{copier}/versions").get_json() == kept


def test_two_worktys_may_have_the_same_version(world: Any, copier: str) -> None:
    other = world.admin.post("/workties", {"name": "x", "compressedCode": base64_text(package("1.0", "other"))})
    assert other.status_code == 201
    assert versions(world.admin, f"/workties/{other.get_json()['_id']}") == ["1.0"]


def test_code_without_manifest_has_no_version_and_replaces_what_was_there(world: Any, ann: Any, copier: str) -> None:
    made = world.admin.post("/workties", {"name": "old", "compressedCode": base64_text(APP)}).get_json()
    path = f"/workties/{made['_id']}"
    for content in ("1", "2"):
        assert push(world, path, zipped(app__js=content)).get_json()["version"] == ""
    assert versions(world.admin, path) == []


def test_a_deleted_workty_takes_its_versions_along(world: Any, copier: str) -> None:
    kept = digest(world, copier, "1.0")
    push(world, copier, package("1.1"))
    assert world.admin.delete(copier).status_code == 204
    assert world.admin.get(f"{copier}/versions").status_code == 404
    of_it = {"worktyId": ObjectId(copier.rpartition("/")[2])}
    assert world.db["workty_versions"].count_documents(of_it) == 0
    world.clock.pass_time(days=2)
    world.services.packages.release([], world.clock())
    assert world.services.packages.get(kept) is None


def test_the_package_of_an_old_version_stays(world: Any, copier: str) -> None:
    kept = digest(world, copier, "1.0")
    push(world, copier, package("1.1"))
    world.clock.pass_time(days=2)
    world.services.packages.release([], world.clock())
    assert world.services.packages.get(kept) is not None


def test_a_bought_template_has_the_version_that_it_had_then(world: Any, ann: Any, copier: str) -> None:
    push(world, copier, package("1.1", delay="3"))
    bought = ann.post("/payments", {"worktyId": copier.rpartition("/")[2]}).get_json()["worktyId"]
    assert versions(ann, f"/workties/{bought}") == ["1.1"]
    push(world, copier, package("1.2"))
    assert versions(ann, f"/workties/{bought}") == ["1.1"]


# --- properties of worktys


def test_a_new_workty_has_the_properties_that_its_package_declares(world: Any, copier: str) -> None:
    assert values(workty(world, copier)) == {"from": "here", "delay": 1}


def test_properties_follow_the_package_and_keep_what_people_made_of_them(world: Any, copier: str) -> None:
    world.admin.post(f"{copier}/properties", {"property": {"name": "mine", "value": 5}})
    before = workty(world, copier)
    world.admin.put(f"{copier}/properties/{ids(before)['from']}", {"property": {"value": "there"}})
    push(world, copier, package("1.1", new="[1]", **{"from": '"elsewhere"', "delay": "2"}))
    after = workty(world, copier)
    assert list(values(after).items()) == [("new", [1]), ("from", "there"), ("delay", 2), ("mine", 5)]
    assert {name: key for name, key in ids(after).items() if name != "new"} == ids(before)
    push(world, copier, package("1.2"))
    assert values(workty(world, copier)) == {"mine": 5}
    assert world.db["workty_properties"].count_documents({"_id": ObjectId(ids(after)["new"])}) == 0


def test_a_property_that_somebody_added_before_it_was_declared_keeps_its_value(world: Any, copier: str) -> None:
    world.admin.post(f"{copier}/properties", {"property": {"name": "mine", "value": 5}})
    before = ids(workty(world, copier))
    push(world, copier, package("1.1", mine="8"))
    assert (values(workty(world, copier)), ids(workty(world, copier))["mine"]) == ({"mine": 5}, before["mine"])


def test_a_default_that_cannot_be_stored_is_refused(world: Any) -> None:
    code = base64_text(package("1.0", big=str(10**30)))
    told = problem(world.admin.post("/workties", {"name": "x", "compressedCode": code}))
    assert told.startswith("Path `compressedCode` is not usable: the default of property 'big': ")


# --- instances


def test_an_instance_keeps_its_version_until_it_is_upgraded(world: Any, ann: Any, copier: str, instances: str) -> None:
    made = add(ann, instances, copier).get_json()
    assert made["version"] == "1.0"
    push(world, copier, package("1.1", delay="9"))
    assert ann.get(f"{instances}/{made['_id']}").get_json()["version"] == "1.0"
    assert runs(world, made) == ("1.0", digest(world, copier, "1.0"))
    assert add(ann, instances, copier).get_json()["version"] == "1.1"
    upgraded = ann.put(f"{instances}/{made['_id']}", {"version": "latest"}).get_json()
    assert upgraded["version"] == "1.1"
    assert runs(world, made) == ("1.1", digest(world, copier, "1.1"))


def test_an_upgrade_adds_new_properties_drops_old_ones_and_keeps_values(
    world: Any, ann: Any, copier: str, instances: str
) -> None:
    world.admin.post(f"{copier}/properties", {"property": {"name": "mine", "value": 5}})
    before = add(ann, instances, copier).get_json()
    path = f"{instances}/{before['_id']}"
    ann.put(f"{path}/properties/{ids(before)['delay']}", {"value": 7})
    push(world, copier, package("1.1", new='"n"', delay="2"))
    after = ann.put(path, {"version": "1.1", "name": "renamed", "position_type": "first"}).get_json()
    assert list(values(after).items()) == [("new", "n"), ("delay", 7), ("mine", 5)]
    assert (ids(after)["delay"], after["name"]) == (ids(before)["delay"], "renamed")
    assert world.db["workty_properties"].count_documents({"_id": ObjectId(ids(before)["from"])}) == 0
    back = ann.put(path, {"version": "1.0"}).get_json()
    assert list(values(back).items()) == [("from", "here"), ("delay", 7), ("mine", 5)]


def test_an_instance_may_be_made_of_an_older_version(world: Any, ann: Any, copier: str, instances: str) -> None:
    world.admin.post(f"{copier}/properties", {"property": {"name": "mine", "value": 5}})
    push(world, copier, package("1.1", new="0", delay="2"))
    made = add(ann, instances, copier, version="1.0").get_json()
    assert (made["version"], values(made)) == ("1.0", {"from": "here", "delay": 1, "mine": 5})


@pytest.mark.parametrize("unknown", ["9", "1.0 ", "LATEST"])
def test_a_version_there_is_not_is_refused_with_those_there_are(
    world: Any, ann: Any, copier: str, instances: str, unknown: str
) -> None:
    world.clock.pass_time(seconds=1)
    push(world, copier, package("1.1"))
    made = add(ann, instances, copier).get_json()
    told = f"Path `version` is no version of workty 'copier': '{unknown}'. It has 1.1, 1.0, and latest."
    assert problem(ann.put(f"{instances}/{made['_id']}", {"version": unknown, "name": "x"})) == told
    assert problem(add(ann, instances, copier, version=unknown)) == told
    assert ann.get(f"{instances}/{made['_id']}").get_json()["name"] == ""


def test_an_instance_without_version_runs_the_code_of_the_moment(
    world: Any, ann: Any, copier: str, instances: str
) -> None:
    made = add(ann, instances, copier).get_json()
    world.db["workty_instances"].update_many({}, {"$unset": {"version": ""}})
    path = f"{instances}/{made['_id']}"
    push(world, copier, package("1.1"))
    assert ann.get(path).get_json()["version"] == ""
    assert runs(world, made)[0] == "1.1"
    assert ann.put(path, {"version": "", "name": "x"}).get_json()["version"] == ""
    assert ann.put(path, {"version": "latest"}).get_json()["version"] == "1.1"


def test_an_instance_of_code_without_manifest_goes_with_its_code(world: Any, ann: Any, instances: str) -> None:
    body = {"name": "old", "template": True, "compressedCode": base64_text(APP)}
    path = f"/workties/{world.admin.post('/workties', body).get_json()['_id']}"
    made = add(ann, instances, path).get_json()
    newer = push(world, path, zipped(app__js="2")).get_json()
    assert made["version"] == newer["version"] == ""
    assert runs(world, made)[1] == world.db["workties"].find_one({"name": "old"})["package"]["sha256"]


def test_an_instance_keeps_its_version_when_its_workty_gets_code_without_manifest_or_none(
    world: Any, ann: Any, copier: str, instances: str
) -> None:
    made, kept = add(ann, instances, copier).get_json(), digest(world, copier, "1.0")
    for code in (base64_text(zipped(app__js="")), None):
        assert world.admin.put(copier, {"compressedCode": code}).status_code == 200
        assert runs(world, made) == ("1.0", kept)
