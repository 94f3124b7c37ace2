"""The operations of each context (live API contract, section 4); each calls one function of the core's services."""

from __future__ import annotations

from collections.abc import Mapping

from api.live.contexts import accounts, devices, payments
from api.live.operations import Operation

#: By context and event.
OPERATIONS: Mapping[str, Mapping[str, Operation]] = {
    "accounts": accounts.OPERATIONS,
    "workflows": {},
    "workties": {},
    "devices": devices.OPERATIONS,
    "payments": payments.OPERATIONS,
    "uisettings": {},
}
