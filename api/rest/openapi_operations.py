"""What the reference says of every operation, beyond what its code says already: bodies, answers, and special errors.

One entry for each path and method of `api.rest.api.ROUTES`; a test fails where one is missing or too many.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from api.rest.openapi_schemas import (
    ANY,
    CODE,
    DEADLINE,
    DESC,
    FLAG,
    ID,
    NAME,
    POLICY,
    Schema,
    listed,
    number,
    record,
    text,
)


class Form(Enum):
    """What an operation is like, which says most of its parameters and answers."""

    LIST = "list"
    ONE = "one"
    CREATE = "create"
    CHANGE = "change"
    COMMAND = "command"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Operation:
    """What is told of an operation.

    Attributes:
        answer: name of the schema of what it returns (of an entry, for a list); empty for none.
        body: what it takes.
        embed: keys of what may be embedded.
        errors: what special status codes mean here.
        query: further parameters of the query.
    """

    form: Form
    answer: str = ""
    body: Schema | None = None
    embed: tuple[str, ...] = ()
    errors: Mapping[int, str] = field(default_factory=dict)
    query: Mapping[str, Schema] = field(default_factory=dict)


_WORKFLOW = ("worktiesinstances", "account", *(f"worktiesinstances.{k}" for k in ("state", "properties", "workty")))
_INSTANCE = ("workflow", "workty", "worktyinstance", "state", "properties")
_WORKTY = ("account", "properties", "type", "category", "languagetype", "validationstate")

_ACCOUNT_FIELDS: Mapping[str, Schema] = {
    "name": NAME,
    "email": text("ann@mail.example", maxLength=256),
    "password": text("a-long-password", maxLength=1024),
    "oauthID": text(""),
    "aclRoleNames": listed(text("regular")),
}
_WORKTY_FIELDS: Mapping[str, Schema] = {
    "name": NAME,
    "desc": DESC,
    "typeId": ID,
    "categoryId": ID,
    "languageTypeId": ID,
    "entryPointModuleFileName": text("app.js"),
    "template": FLAG,
    "discountPercent": {"type": "number", "minimum": 0, "maximum": 30, "example": 10},
    "compressedCode": {**CODE, "example": "UEsDBAoAAAAA..."},
}
_PRICE_UNITS: Schema = {
    "type": "number",
    "minimum": 0,
    "example": 1.5,
    "description": "Currency units: 1.5 = 150 cents",
}
_PRICE_CENTS = number(150, minimum=0, description="Cents")
_WORKFLOW_FIELDS: Mapping[str, Schema] = {"name": NAME, "desc": DESC, "deadline": {**DEADLINE, "nullable": True}}
_POSITION: Mapping[str, Schema] = {
    "position_type": text("last", description="`first` or `last`; wins over the other two"),
    "position_index": number(0, minimum=0, description="0 = before the first; wins over `position_id`"),
    "position_id": {**ID, "description": "Takes the place of that instance, which moves right"},
}
_DEVICE_FIELDS: Mapping[str, Schema] = {
    "name": text("kitchen", maxLength=256),
    "desc": DESC,
    "labels": listed(text("camera", maxLength=64)),
    "disabled": FLAG,
    "draining": FLAG,
    "protocol": text("amqp", maxLength=256),
    "ip4Address": text("10.0.0.7"),
    "ip6Address": text("fe80::1"),
    "port": number(0, minimum=0, maximum=65535),
}
_SLOTS = number(4, minimum=0, maximum=1024, description="Shown until the board says itself how many it has")
_PROPERTY_FIELDS: Mapping[str, Schema] = {"name": text("delay", maxLength=256), "value": ANY}
_STOPPING = {409: "Code 8: the run is being stopped"}
_WANTED = text("latest", maxLength=64, description="A version of the workty, or `latest`")
_INSTANCE_FIELDS: Mapping[str, Schema] = {
    "name": NAME,
    "desc": DESC,
    "version": _WANTED,
    "policy": {**POLICY, "nullable": True},
}
_POSITION_WRONG = "Codes 10, 11, 12: the position is wrong; or a parameter is"

OPERATIONS: Mapping[tuple[str, str], Operation] = {
    ("/tokens", "POST"): Operation(Form.CREATE, "Token", errors={401: "Wrong credentials, or no HTTP basic"}),
    ("/tokens/current", "DELETE"): Operation(Form.DELETE, errors={404: "The request came without a token"}),
    ("/accounts", "GET"): Operation(Form.LIST, "Account"),
    ("/accounts", "POST"): Operation(
        Form.CREATE,
        "NewAccount",
        record(_ACCOUNT_FIELDS, "email"),
        errors={409: "`email` is missing, malformed or in use, or a role is unknown"},
    ),
    ("/accounts/<id>", "GET"): Operation(Form.ONE, "Account"),
    ("/accounts/<id>", "PUT"): Operation(
        Form.CHANGE, "Account", record({**_ACCOUNT_FIELDS, "amount": number(250, minimum=0), "removed": FLAG})
    ),
    ("/accounts/<id>", "DELETE"): Operation(
        Form.DELETE,
        errors={409: "It is the last admin"},
        query={"removing": text("true", description="`true`: erase it; otherwise it is only marked")},
    ),
    ("/payments", "GET"): Operation(Form.LIST, "Payment"),
    ("/payments", "POST"): Operation(
        Form.CREATE,
        "Payment",
        record({"worktyId": ID}, "worktyId"),
        errors={402: "Code 15: not enough funds", 404: "Code 2: no such template"},
    ),
    ("/payments/<id>", "GET"): Operation(Form.ONE, "Payment"),
    ("/payments/<id>", "PUT"): Operation(Form.CHANGE, "Payment", record({"msg": text("ok", maxLength=4096)})),
    ("/payments/<id>", "DELETE"): Operation(Form.DELETE),
    ("/audit", "GET"): Operation(Form.LIST, "AuditEntry"),
    ("/workties", "GET"): Operation(Form.LIST, "Workty", embed=_WORKTY),
    ("/workties", "POST"): Operation(
        Form.CREATE, "Workty", record({**_WORKTY_FIELDS, "price": _PRICE_UNITS}, "name"), embed=_WORKTY
    ),
    ("/workties/<id>", "GET"): Operation(Form.ONE, "Workty", embed=_WORKTY),
    ("/workties/<id>", "PUT"): Operation(
        Form.CHANGE, "Workty", record({**_WORKTY_FIELDS, "price": _PRICE_CENTS}), embed=_WORKTY
    ),
    ("/workties/<id>", "DELETE"): Operation(Form.DELETE),
    ("/workties/<id>/versions", "GET"): Operation(Form.LIST, "Version"),
    ("/workties/<id>/properties", "POST"): Operation(
        Form.CREATE, "Property", record({"property": record(_PROPERTY_FIELDS, "name")}, "property")
    ),
    ("/workties/<id>/properties/<propertyId>", "PUT"): Operation(
        Form.CHANGE, "Property", record({"property": record(_PROPERTY_FIELDS)}, "property")
    ),
    ("/workties/<id>/properties/<propertyId>", "DELETE"): Operation(Form.DELETE),
    ("/workflows", "GET"): Operation(Form.LIST, "Workflow", embed=_WORKFLOW),
    ("/workflows", "POST"): Operation(Form.CREATE, "Workflow", record(_WORKFLOW_FIELDS, "name")),
    ("/workflows/<id>", "GET"): Operation(Form.ONE, "Workflow", embed=_WORKFLOW),
    ("/workflows/<id>", "PUT"): Operation(
        Form.CHANGE, "Workflow", record({**_WORKFLOW_FIELDS, "worktiesInstancesIds": listed(ID)})
    ),
    ("/workflows/<id>", "DELETE"): Operation(Form.DELETE),
    ("/workflows/<id>/running", "PUT"): Operation(
        Form.COMMAND, "Workflow", errors={409: "Code 20: it has no instances. Code 8: its run is being stopped"}
    ),
    ("/workflows/<id>/running", "DELETE"): Operation(Form.COMMAND, "Workflow"),
    ("/workflows/<id>/pausing", "PUT"): Operation(Form.COMMAND, "Workflow", errors=_STOPPING),
    ("/workflows/<id>/worktiesInstances", "GET"): Operation(Form.LIST, "Instance", embed=_INSTANCE),
    ("/workflows/<id>/worktiesInstances", "POST"): Operation(
        Form.CREATE,
        "Instance",
        record({"worktyId": ID, **_INSTANCE_FIELDS, **_POSITION}, "worktyId"),
        embed=_INSTANCE,
        errors={
            400: _POSITION_WRONG,
            403: "Code 17: a template with a cost that was not acquired; codes 13, 14",
            404: "Code 2: no such workflow or workty",
        },
    ),
    ("/workflows/<id>/worktiesInstances/<worktyInstanceId>", "GET"): Operation(Form.ONE, "Instance", embed=_INSTANCE),
    ("/workflows/<id>/worktiesInstances/<worktyInstanceId>", "PUT"): Operation(
        Form.CHANGE,
        "Instance",
        record({**_INSTANCE_FIELDS, **_POSITION}),
        embed=_INSTANCE,
        errors={400: f"Nothing to update. {_POSITION_WRONG}"},
    ),
    ("/workflows/<id>/worktiesInstances/<worktyInstanceId>", "DELETE"): Operation(
        Form.DELETE, errors={409: "Code 8: it is part of an active run and has not ended"}
    ),
    ("/workflows/<id>/worktiesInstances/<worktyInstanceId>/properties/<propertyId>", "PUT"): Operation(
        Form.CHANGE, "Property", record(_PROPERTY_FIELDS)
    ),
    ("/devices", "GET"): Operation(Form.LIST, "Device", embed=("state",)),
    ("/devices", "POST"): Operation(Form.CREATE, "Device", record({**_DEVICE_FIELDS, "slots": _SLOTS}, "name")),
    ("/devices/<id>", "GET"): Operation(Form.ONE, "Device", embed=("state",)),
    ("/devices/<id>", "PUT"): Operation(Form.CHANGE, "Device", record(_DEVICE_FIELDS)),
    ("/devices/<id>", "DELETE"): Operation(Form.DELETE),
    ("/runs", "GET"): Operation(Form.LIST, "Run"),
    ("/runs/<id>", "GET"): Operation(Form.ONE, "RunWithSteps"),
    ("/runs/<id>/explanation", "GET"): Operation(Form.ONE, "Explanation"),
    ("/runs/<id>/log", "GET"): Operation(
        Form.LIST, "LogMessage", query={"since": number(0, minimum=0, description="Only messages of a higher `seq`")}
    ),
}
