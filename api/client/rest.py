"""Requests to REST v1: addresses, credentials, JSON, errors. What is asked for is others' affair."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase

from api.client.errors import BadUse, NotReachable, Refused

#: Seconds until a request that is not answered fails.
TIMEOUT = 30.0
#: Answers that say that the server cannot serve now (REST contract, section 1), or that a proxy does not reach it.
_AWAY = frozenset({502, 503, 504})


def server_url(text: str) -> str:
    """The address of a server without what clients add to it themselves. Raises `BadUse` if it is none."""
    try:
        parts = urlsplit(text.strip())
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable or parts.username or parts.query or parts.fragment:
        raise BadUse(f"'{text}' is no address of a server. Write it like http://127.0.0.1:9999")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/api/v1').rstrip('/')}"


def is_loopback(url: str) -> bool:
    """Whether a server is on this machine."""
    return urlsplit(url).hostname in {"localhost", "127.0.0.1", "::1"}


class Rest:
    """Speaks to one server as one account.

    Args:
        url: the server, e.g. `http://127.0.0.1:9999`.
        token: its bearer token; without one only `log_in` works.
        ca_file: certificates (PEM) to trust instead of the system's.
        timeout: seconds until a request that is not answered fails.
    """

    def __init__(
        self, url: str, token: str | None = None, *, ca_file: str | None = None, timeout: float = TIMEOUT
    ) -> None:
        self.url = server_url(url)
        self.ca_file = ca_file
        self.timeout = timeout
        self._token = token
        self._session = requests.Session()
        # The environment's proxies and certificates count, but no proxy reaches this machine as it does itself. The
        # environment's .netrc does not count: every request has its own `auth`.
        self._session.trust_env = not is_loopback(self.url)

    @property
    def token(self) -> str:
        """The bearer token. Raises `BadUse` if there is none."""
        if self._token is None:
            raise BadUse(f"No token for {self.url}. Log in first")
        return self._token

    def log_in(self, email: str, password: str) -> Mapping[str, Any]:
        """Get a token and use it from now on; the answer of `POST /tokens`. Raises as `get`."""
        basic = _Basic(email, password)
        answer: Mapping[str, Any] = self._ask("POST", "/tokens", body={}, auth=basic)
        self._token = str(answer["token"])
        return answer

    def get(self, path: str, **query: object) -> Any:
        """GET below `/api/v1`; values that are None are left out. Raises `NotReachable`, `Refused`."""
        return self._ask("GET", path, query={k: str(v) for k, v in query.items() if v is not None})

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """POST below `/api/v1`. Raises `NotReachable`, `Refused`."""
        return self._ask("POST", path, body=body)

    def put(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """PUT below `/api/v1`. Raises `NotReachable`, `Refused`."""
        return self._ask("PUT", path, body=body)

    def delete(self, path: str) -> Any:
        """DELETE below `/api/v1`. Raises `NotReachable`, `Refused`."""
        return self._ask("DELETE", path)

    def close(self) -> None:
        """Give up the connections."""
        self._session.close()

    def _ask(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        auth: AuthBase | None = None,
    ) -> Any:
        try:
            answer = self._session.request(
                method,
                f"{self.url}/api/v1{path}",
                params=query,
                json=body,
                auth=auth or _Bearer(self.token),
                timeout=self.timeout,
                allow_redirects=False,
                verify=self.ca_file or True,
            )
        except (requests.RequestException, UnicodeError, OSError) as error:
            raise NotReachable(self.url, self._why(error)) from error
        return self._read(answer)

    def _read(self, answer: requests.Response) -> Any:
        if answer.status_code in _AWAY:
            raise NotReachable(self.url, _refusal(answer).message)
        if answer.is_redirect:
            raise BadUse(f"{self.url} sends on to {answer.headers.get('Location')}. Use that server's address")
        if not answer.ok:
            raise _refusal(answer)
        try:
            return answer.json() if answer.content else None
        except ValueError as error:
            raise NotReachable(self.url, "what answers there is not Workty") from error

    def _why(self, error: Exception) -> str:
        if isinstance(error, requests.exceptions.SSLError):
            return "its certificate is not trusted, or it does not speak TLS"
        if isinstance(error, requests.Timeout):
            return f"no answer within {self.timeout:g} s"
        if isinstance(error, requests.exceptions.ProxyError):
            return "the proxy of the environment (HTTP_PROXY, HTTPS_PROXY) does not answer"
        if isinstance(error, requests.ConnectionError):
            return "nothing answers at this address"
        return str(error) or type(error).__name__


class _Bearer(AuthBase):
    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class _Basic(AuthBase):
    """HTTP basic in UTF-8; the library's own writes Latin-1."""

    def __init__(self, email: str, password: str) -> None:
        self._given = requests.auth.HTTPBasicAuth(email.encode(), password.encode())

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        self._given(request)
        return request


def _refusal(answer: requests.Response) -> Refused:
    """The error that an answer tells; tolerant of answers that somebody else gave."""
    try:
        told = answer.json()["error"]
        code = told.get("code")
        details = [str(entry.get("message")) for entry in told.get("errors") or ()]
        return Refused(answer.status_code, code if isinstance(code, int) else None, str(told["message"]), details)
    except (ValueError, LookupError, TypeError, AttributeError):
        return Refused(answer.status_code, None, answer.reason or f"status {answer.status_code}")
