"""Turns the instances of a workflow into the steps of a run: what a run needs to know, read once, at its start.

Reads the collections of workflows, instances, properties, workties and versions (REST contract, section 7); writes
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from orchestrator.runs.documents import declared_from
from orchestrator.runs.vocabulary import Step, StoredPackage
from workties.manifest import parse_recovery
from workties.messages import Limits, Program, Property
from workties.parsing import parse_access, parse_limits
from workties.policy import Policy, policy_of

Document = Mapping[str, Any]


class Snapshots:
    """Reads the steps of workflows."""

    def __init__(self, database: Database[dict[str, Any]]) -> None:
        self._database = database

    def steps(self, instance_ids: Sequence[ObjectId]) -> tuple[Step, ...]:
        """The steps for these instances, in this order; one that is gone, or whose workty is, is left out."""
        instances = self._by_id("workty_instances", instance_ids)
        workties = self._by_id("workties", [instance["worktyId"] for instance in instances.values()])
        known = [instances[instance_id] for instance_id in instance_ids if instance_id in instances]
        ordered = [instance for instance in known if instance["worktyId"] in workties]
        wanted = [property_id for instance in ordered for property_id in instance["propertiesIds"]]
        properties = self._by_id("workty_properties", wanted)
        languages, versions = self._languages(workties), self._versions(ordered, workties)
        return tuple(_step(instance, workties, properties, languages, versions) for instance in ordered)

    def _versions(
        self, instances: Sequence[Document], workties: Mapping[ObjectId, Document]
    ) -> Mapping[tuple[ObjectId, str], Document]:
        """The packages of versions that are no more what their workty has, by workty and version."""
        current = {key: (workty.get("package") or {}).get("version") for key, workty in workties.items()}
        old = [i for i in instances if i.get("version") and i["version"] != current[i["worktyId"]]]
        if not old:
            return {}
        where = {"worktyId": {"$in": [i["worktyId"] for i in old]}, "version": {"$in": [i["version"] for i in old]}}
        return {(found["worktyId"], found["version"]): found for found in self._database["workty_versions"].find(where)}

    def _languages(self, workties: Mapping[ObjectId, Document]) -> Mapping[ObjectId, str]:
        """The top-level name of each language type that is used, for workties without a package."""
        if all(workty.get("package") for workty in workties.values()):
            return {}
        rows = {row["_id"]: row for row in self._database["workty_language_types"].find({})}
        return {key: rows.get(row.get("parentId"), row)["name"] for key, row in rows.items()}

    def _by_id(self, collection: str, ids: Sequence[ObjectId]) -> dict[ObjectId, Document]:
        if not ids:
            return {}
        projection = {"compressedCode": 0} if collection == "workties" else None
        found = self._database[collection].find({"_id": {"$in": list(ids)}}, projection)
        return {document["_id"]: document for document in found}


def property_from(document: Document) -> Property:
    """A stored property as a step has it."""
    return Property(str(document["_id"]), document["name"], document.get("value"))


def _step(
    instance: Document,
    workties: Mapping[ObjectId, Document],
    properties: Mapping[ObjectId, Document],
    languages: Mapping[ObjectId, str],
    versions: Mapping[tuple[ObjectId, str], Document],
) -> Step:
    workty, version = workties[instance["worktyId"]], instance.get("version")
    package = workty.get("package") or {}
    if version and version != package.get("version"):
        # Of a version that is gone there is no code, and never other code instead.
        package = versions.get((workty["_id"], version), {})
    language = package.get("language") or languages.get(workty["languageTypeId"], "nodejs")
    policy = policy_of(package.get("policy") or {}, instance.get("policy") or {})
    return Step(
        instance=str(instance["_id"]),
        name=instance.get("name", ""),
        desc=instance.get("desc", ""),
        program=Program(
            id=str(workty["_id"]),
            name=workty["name"],
            version=package.get("version", ""),
            language=language,
            entry=package.get("entry") or workty["entryPointModuleFileName"],
        ),
        package=StoredPackage(package["sha256"], package["size"]) if package else None,
        limits=_limits(package, policy),
        access=parse_access(package.get("access") or {}),
        recovery=parse_recovery(package.get("recovery") or {}),
        policy=policy,
        labels=tuple(package.get("labels") or ()),
        declared=declared_from(package.get("properties") or ()),
        properties=tuple(property_from(properties[i]) for i in instance["propertiesIds"] if i in properties),
    )


def _limits(package: Document, policy: Policy) -> Limits:
    """What the package says, with the times that the instance has of its own."""
    limits = parse_limits(package.get("limits") or {})
    wall = limits.wall if policy.timeout is None else policy.timeout
    return replace(limits, wall=wall, grace=limits.grace if policy.grace is None else policy.grace)
