"""What goes in and comes out, as JSON schemas with examples: records from the core's own lists of fields.

A field whose kind says too little (lists, objects, any JSON) has its schema in `_FIELDS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.accounts.service import ACCOUNT
from orchestrator.audit.service import ENTRY
from orchestrator.boards.service import DEVICE
from orchestrator.catalogue.service import PROPERTY, WORKTY
from orchestrator.catalogue.versions import VERSION
from orchestrator.payments.service import PAYMENT
from orchestrator.runs.explaining import EXPLANATION
from orchestrator.runs.history import LOG_MESSAGE, RUN, RUN_WITH_STEPS
from orchestrator.selection import Entity, Kind
from orchestrator.workflows.policies import MAX_DEADLINE, MIN_DEADLINE
from orchestrator.workflows.reading import INSTANCE, WORKFLOW
from workties import policy as policies

Schema = dict[str, Any]

EXAMPLE_ID = "5f43a1c09b1e8a0001c0ffee"
EXAMPLE_DATE = "2026-01-02T03:04:05.000Z"

#: Records by name, with their fields.
RECORDS: Mapping[str, Entity] = {
    "Account": ACCOUNT,
    "Payment": PAYMENT,
    "AuditEntry": ENTRY,
    "Workty": WORKTY,
    "Version": VERSION,
    "Property": PROPERTY,
    "Workflow": WORKFLOW,
    "Instance": INSTANCE,
    "Device": DEVICE,
    "Run": RUN,
    "RunWithSteps": RUN_WITH_STEPS,
    "LogMessage": LOG_MESSAGE,
    "Explanation": EXPLANATION,
}


def text(example: str, **more: Any) -> Schema:
    """A text."""
    return {"type": "string", "example": example, **more}


def number(example: int, **more: Any) -> Schema:
    """A whole number."""
    return {"type": "integer", "example": example, **more}


def record(properties: Mapping[str, Schema], *required: str) -> Schema:
    """An object with these properties."""
    return {"type": "object", "properties": dict(properties), **({"required": list(required)} if required else {})}


def quantity(example: float, least: float, most: float, description: str) -> Schema:
    """A number from `least` to `most`."""
    return {"type": "number", "example": example, "minimum": least, "maximum": most, "description": description}


def listed(items: Schema, example: Any = None) -> Schema:
    """A list."""
    return {"type": "array", "items": items, **({} if example is None else {"example": example})}


ID: Schema = {"type": "string", "pattern": "^[0-9a-fA-F]{24}$", "example": EXAMPLE_ID}
NAME = text("nightly", maxLength=256)
DESC = text("Copies the photos", maxLength=4096)
FLAG: Schema = {"type": "boolean", "example": False}
DATE: Schema = {"type": "string", "format": "date-time", "example": EXAMPLE_DATE}
ANY: Schema = {"description": "Any JSON value, up to 64 KiB", "nullable": True, "example": 5}
STATE = text("running")
BOARD = record({"_id": ID, "name": text("kitchen")})
REASON = record(
    {
        "code": text("no-slot"),
        "message": text("Waits for a free slot on a board that fits"),
        "returnCode": number(1),
        "lastOutput": listed(text("no such file")),
    }
)
STEP = record(
    {
        "_id": {**ID, "description": "The instance's id"},
        "name": text("copy"),
        "worktyId": ID,
        "worktyName": text("with-delay"),
        "state": STATE,
        "attempt": number(1, description="How often it was sent to a board"),
        "board": BOARD,
        "started": DATE,
        "finished": DATE,
        "progress": {"type": "number", "minimum": 0, "maximum": 1, "example": 0.5},
        "worktyState": {**text("copying"), "description": "The last state of its own that the program told"},
        "checkpointed": {**DATE, "description": "When its last checkpoint came"},
        "output": {"type": "object", "example": {"copied": 12}},
        "reason": REASON,
    }
)
CHANGE = record(
    {
        "seq": number(2, description="Counts the changes of the run; the last 500 are kept"),
        "at": DATE,
        "runState": STATE,
        "instance": ID,
        "state": {**STATE, "description": "Of the step, after the change"},
        "attempt": number(1),
        "board": BOARD,
        "reason": REASON,
    },
    *("seq", "at", "runState", "instance", "state", "attempt"),
)
MOMENT = record(
    {
        "at": DATE,
        "step": {**text("copy"), "description": "Absent where the run itself is meant"},
        "text": text("runs on board 'kitchen'"),
        "lines": listed(text("no such file")),
    },
    "at",
    "text",
)
LINE: Mapping[str, Schema] = {
    "at": text(EXAMPLE_DATE, description="By the clock of the board"),
    "stream": text("stdout", enum=["stdout", "stderr", "log"]),
    "text": text("12 photos copied"),
}
DECLARED = record(
    {"name": text("delay"), "type": text("number"), "default": ANY, "description": text("Seconds to wait")},
    *("name", "type", "default", "description"),
)
POLICY: Schema = {
    **record(
        {
            "retries": number(3, minimum=0, maximum=policies.MAX_RETRIES, description="Further attempts; by default 0"),
            "retryOn": listed(text("exit", enum=sorted(policies.RETRIED))),
            "exitCodes": listed(number(75, minimum=0, maximum=255)),
            "backoff": quantity(1, 0, policies.MAX_BACKOFF, "Seconds to the next attempt after the first failure"),
            "backoffFactor": quantity(2, 1, 100, "By which each further wait is longer"),
            "backoffMost": quantity(300, 0, policies.MAX_BACKOFF, "Longest wait, seconds"),
            "jitter": quantity(0.1, 0, 1, "By which part of itself a wait may be shorter or longer"),
            "onFailure": text("fail", enum=sorted(policies.ON_FAILURE)),
            "cleanup": {**FLAG, "description": "Runs only after a failure whose `onFailure` is `cleanup`"},
            "timeout": quantity(600, 0.001, policies.MAX_TIMEOUT, "Seconds of one attempt"),
            "grace": quantity(10, 0, policies.MAX_GRACE, "Seconds from SIGTERM to SIGKILL"),
        }
    ),
    "additionalProperties": False,
    "description": "What happens when the step fails. What is absent is as the workty's manifest says; counts from the "
    "next run",
    "example": {"retries": 3, "retryOn": ["exit", "timeout"], "backoff": 10, "onFailure": "skip"},
}
DEADLINE = quantity(
    3600, MIN_DEADLINE, MAX_DEADLINE, "Seconds after its begin at which a run fails; counts from the next run"
)
CODE: Schema = {
    "description": "A zip: base64 text, a list of bytes, or {type: Buffer, data: [...]}. Answers have the last form",
    "nullable": True,
    "anyOf": [
        {"type": "string"},
        listed(number(80, minimum=0, maximum=255)),
        record({"type": text("Buffer"), "data": listed(number(80, minimum=0, maximum=255))}, "type", "data"),
    ],
    "example": {"type": "Buffer", "data": [80, 75, 3, 4]},
}

_KINDS: Mapping[Kind, Schema] = {
    Kind.ID: {**ID, "description": "Replaced by the document itself where it is embedded"},
    Kind.TEXT: text("a text"),
    Kind.NUMBER: number(0),
    Kind.DECIMAL: {"type": "number", "example": 0},
    Kind.FLAG: FLAG,
    Kind.DATE: DATE,
}

#: Names by which fields that hold ids or documents are known.
_IDS = listed({"anyOf": [ID, {"type": "object"}]}, [EXAMPLE_ID])

_FIELDS: Mapping[str, Schema] = {
    "name": NAME,
    "desc": DESC,
    "email": text("ann@mail.example", maxLength=256),
    "aclRoleNames": listed(text("regular")),
    "worktiesInstancesIds": _IDS,
    "propertiesIds": _IDS,
    "compressedCode": CODE,
    "value": ANY,
    "labels": listed(text("camera")),
    "runtimes": listed(text("python")),
    "board": BOARD,
    "waitsFor": REASON,
    "steps": listed(STEP),
    "changes": listed(CHANGE),
    "story": listed(MOMENT),
    "now": text("step 'copy' runs on board 'kitchen' for 3 s (attempt 1)"),
    "help": text("", description="What would help; empty where nothing needs to"),
    "missing": number(0, description="Changes of state at the beginning that are no longer kept"),
    "lines": listed(record(LINE, *LINE)),
    "logTail": listed(record({"instance": ID, "attempt": number(1), **LINE}, *LINE)),
    "dropped": number(0, description="Lines that were not kept"),
    "state": STATE,
    "amount": number(250, description="Cents"),
    "price": number(150, description="Cents"),
    "operation": text("PUT /workflows/{id}"),
    "version": text("1.2", maxLength=64, description="Empty without a manifest"),
    "sha256": text("9f86d081884c7d65...", description="Of the package, in hexadecimal"),
    "size": number(2048, description="Bytes of the package"),
    "states": listed(text("copying")),
    "properties": listed(DECLARED),
    "platform": text("Linux-6.6-armv7l"),
    "policy": POLICY,
    "deadline": {**DEADLINE, "description": f"{DEADLINE['description']}. Absent where there is none"},
}

#: Answers that are no records of the core.
_OTHERS: Mapping[str, Schema] = {
    "Token": record(
        {
            "token": text("q1Vd...", description="Shown once"),
            "tokenType": text("bearer"),
            "expiresIn": number(86400, description="Seconds"),
            "accountId": ID,
        },
        "token",
        "tokenType",
        "expiresIn",
        "accountId",
    ),
    "NewAccount": {
        "allOf": [
            {"$ref": "#/components/schemas/Account"},
            record({"initialPassword": text("nW3...", description="Only if none was sent; told once")}),
        ]
    },
    "Error": record(
        {
            "error": record(
                {
                    "code": {"anyOf": [{"type": "integer"}, {"type": "string", "enum": [""]}], "example": 2},
                    "error_link": text("http://127.0.0.1:9999/errors/v1/2"),
                    "message": text("The entity was not found", minLength=1),
                    "inputParameters": {"type": "object", "example": {"id": EXAMPLE_ID}},
                    "errors": listed(record({"message": text("Path `name` is required.")}, "message")),
                },
                "code",
                "error_link",
                "message",
                "inputParameters",
            )
        },
        "error",
    ),
}


def field_schema(name: str, kind: Kind) -> Schema:
    """The schema of a field of a record."""
    schema = _FIELDS[name] if name in _FIELDS else _KINDS[kind]
    if kind is Kind.ID and name != "_id":
        embedded = {"anyOf": [ID, {"type": "object"}], "example": EXAMPLE_ID}
        return {**embedded, "description": schema["description"]}
    return ID if name == "_id" else schema


def components() -> dict[str, Schema]:
    """All schemas by name."""
    records = {
        name: record({field: field_schema(field, kind) for field, kind in entity.items()}, "_id")
        for name, entity in RECORDS.items()
    }
    return {**records, **_OTHERS}


def example(schema: Schema, known: Mapping[str, Schema]) -> Any:
    """An example of what a schema describes; `known` are the schemas that it may refer to."""
    if "$ref" in schema:
        return example(known[schema["$ref"].rpartition("/")[2]], known)
    if "example" in schema:
        return schema["example"]
    if "allOf" in schema:
        return {name: value for part in schema["allOf"] for name, value in example(part, known).items()}
    if schema.get("type") == "array":
        return [example(schema["items"], known)]
    return {name: example(part, known) for name, part in schema.get("properties", {}).items()}
