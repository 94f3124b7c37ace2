"""The reference of the API as an OpenAPI document, made from the routes, the endpoints' own words and the table of
operations. What an operation does not say, its form says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from inspect import getdoc
from typing import Any

from api.rest.endpoint import Endpoint
from api.rest.openapi_operations import OPERATIONS, Form, Operation
from api.rest.openapi_schemas import EXAMPLE_ID, RECORDS, Schema, components, example, field_schema, text
from orchestrator.selection import Kind

Document = dict[str, Any]
Routes = Iterable[tuple[str, type[Endpoint]]]

METHODS = ("GET", "POST", "PUT", "DELETE")

DESCRIPTION = """\
JSON in, JSON out. Log in with HTTP basic (e-mail and password), or with `Authorization: Bearer <token>` from
`POST /tokens`. Path, query and body are one space of parameters: path wins over query, query over body. Unknown and
read-only fields of a body are ignored. What belongs to another account does not exist: 404.

A POST with the header `X-HTTP-Method-Override: PUT` or `DELETE` is handled as that method. Dates are ISO 8601 in UTC,
amounts are cents. Answers are compressed for clients that send `Accept-Encoding: gzip`.

At the root of the server, without `/api/v1`: `/healthz`, `/readyz`, `/metrics`.
"""

_FORMS: Mapping[Form, int] = {
    Form.LIST: 200,
    Form.ONE: 200,
    Form.CREATE: 201,
    Form.CHANGE: 200,
    Form.COMMAND: 200,
    Form.DELETE: 204,
}

_MEANINGS: Mapping[int, str] = {
    400: "A parameter or the body is malformed, or there is nothing to update",
    401: "The credentials are not valid",
    403: "Code 13: the roles do not allow it. Code 14: the account was removed",
    404: "Code 2: there is no such entity for this account",
    409: "Values are wrong (`errors` has one entry a problem), or the state does not allow it",
    413: "Code 16: the body is too large",
    429: "Too many requests",
    500: "Code 1: an unexpected error",
    503: "The database or the broker is away for now",
}
_RETRY = {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}}
_HEADERS: Mapping[int, Document] = {
    401: {"WWW-Authenticate": {"schema": {"type": "string"}}},
    429: _RETRY,
    503: _RETRY,
}


def reference(routes: Routes, server: str) -> Document:
    """The document.

    Args:
        routes: paths below `server`, with their endpoints.

    Raises:
        KeyError: an operation is not in the table.
    """
    known = components()
    paths: Document = {}
    for path, endpoint in routes:
        methods = [method for method in METHODS if hasattr(endpoint, method.lower())]
        paths[_template(path)] = {
            "parameters": [_path_parameter(name) for name in _names(path)],
            **{method.lower(): _operation(path, endpoint, method, known) for method in methods},
        }
    return {
        "openapi": "3.0.3",
        "info": {"title": "Workty", "version": "1", "description": DESCRIPTION},
        "servers": [{"url": server}],
        "security": [{"basic": []}, {"bearer": []}],
        "tags": [{"name": tag} for tag in dict.fromkeys(path.split("/")[1] for path, _ in routes)],
        "paths": paths,
        "components": {
            "schemas": known,
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _template(path: str) -> str:
    return re.sub(r"<(\w+)>", r"{\1}", path)


def _names(path: str) -> list[str]:
    return re.findall(r"<(\w+)>", path)


def _path_parameter(name: str) -> Document:
    schema = {"type": "string", "example": EXAMPLE_ID}
    return {"name": name, "in": "path", "required": True, "description": "24 hexadecimal digits", "schema": schema}


def _operation(path: str, endpoint: type[Endpoint], method: str, known: Mapping[str, Schema]) -> Document:
    told = OPERATIONS[path, method]
    words = getdoc(getattr(endpoint, method.lower())) or ""
    summary, _, more = words.partition("\n\n")
    document = {
        "operationId": method.lower() + re.sub(r"\W+(\w)", lambda found: found[1].upper(), path).strip("<>"),
        "tags": [path.split("/")[1]],
        "summary": summary.replace("\n", " "),
        "description": more,
        "parameters": _parameters(path, method, told),
        "responses": _responses(path, told, known),
    }
    if told.body is not None:
        content = {"schema": told.body, "example": example(told.body, known)}
        document["requestBody"] = {
            "required": bool(told.body.get("required")),
            "content": {"application/json": content},
        }
    return document


def _parameters(path: str, method: str, told: Operation) -> list[Document]:
    found = [
        _parameter("accept-version", text("2016.10.1"), "A date up to the current version, 2016.10.1", place="header"),
        _parameter("pretty", text("false"), "Indented unless `false`"),
    ]
    if method == "POST" or path.endswith("/running"):
        what = "The same key twice within 24 hours: carried out once, answered the same way"
        schema = text("6d0c1f7e", minLength=1, maxLength=255)
        found.append(_parameter("Idempotency-Key", schema, what, place="header"))
    if method == "GET":
        found.append(_parameter("count", text("true"), "`true`: the header Records-count tells how many records"))
    if told.form in {Form.LIST, Form.ONE}:
        found.append(
            _parameter(
                "fields", text("name"), "Fields to return, separated by commas; with a leading `-` all but these"
            )
        )
    if told.form is Form.LIST:
        found += _list_parameters(told)
    if told.embed:
        keys = ", ".join(f"`{key}`" for key in told.embed)
        found.append(_parameter("embed", text(told.embed[0]), f"What to embed, separated by commas: {keys}"))
    found += [_parameter(name, schema, schema.get("description", "")) for name, schema in told.query.items()]
    return found


def _list_parameters(told: Operation) -> list[Document]:
    size = {"type": "integer", "minimum": 0, "maximum": 250, "example": 10}
    page = {"type": "integer", "minimum": 1, "example": 1}
    filters = [
        _parameter(name, _filter(name, kind), "Only records with this value")
        for name, kind in RECORDS[told.answer].items()
        if kind is not Kind.OTHER
    ]
    return [
        _parameter("sort", text("-created"), "Fields separated by commas, descending with a leading `-`"),
        _parameter(
            "per_page", size, "Length of a page; 0 or absent: the whole list (instances: 10, audit and log: 250)"
        ),
        _parameter("page_num", page, "From 1"),
        *filters,
    ]


def _filter(name: str, kind: Kind) -> Schema:
    schema = field_schema(name, kind)
    return schema["anyOf"][0] if "anyOf" in schema else schema


def _parameter(name: str, schema: Schema, description: str, *, place: str = "query") -> Document:
    return {"name": name, "in": place, "description": description, "schema": schema}


def _responses(path: str, told: Operation, known: Mapping[str, Schema]) -> Document:
    status = _FORMS[told.form]
    success: Document = {"description": "Done" if status == 204 else "The answer"}
    if told.answer:
        schema: Schema = {"$ref": f"#/components/schemas/{told.answer}"}
        if told.form is Form.LIST:
            schema = {"type": "array", "items": schema}
        success["content"] = {"application/json": {"schema": schema, "example": example(schema, known)}}
    if status == 201:
        success["headers"] = {"Location": {"description": "URL of the new entity", "schema": {"type": "string"}}}
    if told.form in {Form.LIST, Form.ONE}:
        success["headers"] = {"Records-count": {"description": "With `count=true`", "schema": {"type": "integer"}}}
    return {str(status): success, **{str(code): _failure(code, told, known) for code in _failures(path, told)}}


def _failures(path: str, told: Operation) -> list[int]:
    codes = {400, 401, 403, 429, 500, 503, *told.errors}
    if "<" in path:
        codes.add(404)
    if told.form in {Form.CREATE, Form.CHANGE} or path.endswith("/running"):
        codes |= {409, 413}
    return sorted(codes)


def _failure(code: int, told: Operation, known: Mapping[str, Schema]) -> Document:
    schema: Schema = {"$ref": "#/components/schemas/Error"}
    failure: Document = {
        "description": told.errors.get(code, _MEANINGS.get(code, "")),
        "content": {"application/json": {"schema": schema, "example": example(schema, known)}},
    }
    return {**failure, **({"headers": _HEADERS[code]} if code in _HEADERS else {})}
