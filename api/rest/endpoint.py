"""What all resources share: who asks, what with, whether the roles allow it, how answers look, and the audit trail.

A resource says which permission each of its methods needs and is handed a `Call`; the contract's order of checks up to
there is kept here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from bson import ObjectId
from flask import Response, g, request
from flask_restx import Resource

from api.rest.answers import answer
from api.rest.parameters import Parameters, check_version, read_parameters
from api.services import Services
from api.settings import ApiSettings
from orchestrator.accounts.account import Account
from orchestrator.accounts.peer import Peer
from orchestrator.audit.service import Deed
from orchestrator.errors import AccountRemoved, InvalidCredentials


@dataclass(frozen=True, slots=True)
class Call:
    """A request that may be served: the acting account and the parameters."""

    account: Account
    parameters: Parameters

    @property
    def path(self) -> Mapping[str, str]:
        """Ids of the path by name."""
        return self.parameters.path

    @property
    def body(self) -> dict[str, Any]:
        """Values of an entity: the merged parameters."""
        return self.parameters.merged

    def listed(self, records: list[Any]) -> Response:
        """200 with a list."""
        return self._counted(records, len(records))

    def one(self, record: Any) -> Response:
        """200 with an entity."""
        return self._counted(record, 1)

    def created(self, record: Mapping[str, Any], *parts: object) -> Response:
        """201 with a new entity, whose path below the base is made of `parts`."""
        location = f"{request.host_url}api/v1/" + "/".join(str(part) for part in parts)
        return answer(record, 201, pretty=self.parameters.pretty, headers={"Location": location})

    def _counted(self, data: Any, count: int) -> Response:
        headers = {"Records-count": str(count)} if self.parameters.counted and request.method in _READING else {}
        return answer(data, pretty=self.parameters.pretty, headers=headers)


_READING = frozenset({"GET", "HEAD"})

#: What only admins may do, where no resource of the roles stands for it.
ONLY_ADMINS: Literal["only admins"] = "only admins"

#: By method: resource and permission, or `ONLY_ADMINS`, or None where an account is enough.
Needs = Mapping[str, tuple[str, str] | Literal["only admins"] | None]


#: Carries out an account's request that may be served, or gives another answer, or refuses it by raising an error.
Around = Callable[[Account, Callable[[], Response]], Response]


def _at_once(_account: Account, serve: Callable[[], Response]) -> Response:
    return serve()


class Endpoint(Resource):  # type: ignore[misc]
    """A resource of the API: what its methods need, and whether they come with a body.

    With `takes_body` POST and PUT must have one, and DELETE may.
    """

    needs: ClassVar[Needs] = {}
    takes_body: ClassVar[bool] = True

    def __init__(
        self, *args: Any, services: Services, settings: ApiSettings, around: Around | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.services = services
        self.settings = settings
        self._around = around or _at_once

    def dispatch_request(self, **path: str) -> Response:
        """Carry the request out. Errors are raised and become answers in `api.rest.errors`."""
        method = "GET" if request.method == "HEAD" else request.method
        call = self._open(method, path)
        return self._around(call.account, lambda: self._serve(method, call))

    def _serve(self, method: str, call: Call) -> Response:
        response: Response = getattr(self, method.lower())(call)
        if method not in _READING:
            self.services.audit.done(call.account, _deed(method, response), peer())
        return response

    def authenticate(self) -> Account:
        """The account that the request's credentials belong to.

        Raises `InvalidCredentials`, `AccountRemoved`, `TooManyRequests`.
        """
        found = request.authorization
        if found is None:
            raise InvalidCredentials
        if found.type == "basic":
            return self._log_in(found.username or "", found.password or "")
        if found.type == "bearer":
            return self.services.tokens.accept(found.token or "")
        raise InvalidCredentials

    def _log_in(self, name: str, password: str) -> Account:
        try:
            return self.services.logins.log_in(name, password, peer())[0]
        except InvalidCredentials:
            self.services.audit.login_refused(name, peer(), "401")
            raise
        except AccountRemoved:
            self.services.audit.login_refused(name, peer(), "403")
            raise

    def _open(self, method: str, path: Mapping[str, str]) -> Call:
        account = self.authenticate()
        wanted = method in {"POST", "PUT"} or (method == "DELETE" and request.mimetype == "application/json")
        parameters = read_parameters(request, path, body=self.takes_body and wanted)
        g.parameters = parameters
        need = self.needs[method]
        if need == ONLY_ADMINS:
            account.require_admin()
        elif need is not None:
            account.require(*need)
        check_version(request.headers.get("accept-version"))
        return Call(account, parameters)


#: Headers that proxies add, as WSGI names them (PEP 3333).
_FORWARDED = frozenset({"HTTP_FORWARDED", "HTTP_X_FORWARDED_FOR", "HTTP_X_REAL_IP", "HTTP_VIA"})


def peer() -> Peer:
    """Where the request comes from."""
    return Peer(request.remote_addr or "", not _FORWARDED.isdisjoint(request.environ))


def _deed(method: str, response: Response) -> Deed:
    """What a request did, as the audit trail names it: by its path below the base, with the names of ids in it."""
    rule = str(request.url_rule).partition("/api/v1")[2]
    segments = rule.strip("/").split("/")
    places = [index for index, segment in enumerate(segments) if segment.startswith("<")]
    if response.status_code == 201:
        kind, id_ = segments[-1], response.headers.get("Location", "").rpartition("/")[2]
    elif places:
        kind, id_ = segments[places[-1] - 1], (request.view_args or {})[segments[places[-1]].strip("<>")]
    else:
        kind, id_ = segments[0], ""
    entity_id = ObjectId(id_) if re.fullmatch(r"[0-9a-fA-F]{24}", id_) else None
    return Deed(f"{method} {rule.replace('<', '{').replace('>', '}')}", kind, entity_id, str(response.status_code))
