"""The operations of each context (live API contract, section 4); each calls one function of the core's services."""

from __future__ import annotations

from collections.abc import Mapping

from api.live.contexts import accounts, devices, payments, uisettings, workflows, workties
from api.live.operations import Operation

#: By context and event.
OPERATIONS: Mapping[str, Mapping[str, Operation]] = {
    "accounts": accounts.OPERATIONS,
    "workflows": workflows.OPERATIONS,
    "workties": workties.OPERATIONS,
    "devices": devices.OPERATIONS,
    "payments": payments.OPERATIONS,
    "uisettings": uisettings.OPERATIONS,
}
