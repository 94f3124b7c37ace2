"""Workty from users' own programs: REST and live API in one class. Imports nothing of the server.

See docs/client.md for what it is like to use.
"""

from api.client.client import Client
from api.client.definition import Definition, StepDefinition, parse_definition, read_definition
from api.client.errors import BadDefinition, BadUse, ClientError, NotReachable, Refused
from api.client.events import Connection, Event, LogLine, LogLines, Progress, StepChanged
from api.client.following import Following
from api.client.models import (
    Board,
    DeclaredProperty,
    Explanation,
    Instance,
    Moment,
    Property,
    Reason,
    Run,
    Step,
    Version,
    Workflow,
    Workty,
)
from api.client.pushing import Outcome, Pushed, Upgraded

__all__ = [
    "BadDefinition",
    "BadUse",
    "Board",
    "Client",
    "ClientError",
    "Connection",
    "DeclaredProperty",
    "Definition",
    "Event",
    "Explanation",
    "Following",
    "Instance",
    "LogLine",
    "LogLines",
    "Moment",
    "NotReachable",
    "Outcome",
    "Progress",
    "Property",
    "Pushed",
    "Reason",
    "Refused",
    "Run",
    "Step",
    "StepChanged",
    "StepDefinition",
    "Upgraded",
    "Version",
    "Workflow",
    "Workty",
    "parse_definition",
    "read_definition",
]
