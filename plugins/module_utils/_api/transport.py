# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The way to a server: proxies, TLS, connections, and what goes wrong on it. Knows nothing of the API."""

from __future__ import annotations

import contextlib
import functools
import http.client
import io
import ipaddress
import os
import socket
import ssl
import sys
import typing as t
from pathlib import Path
from urllib.parse import unquote, urlsplit

# typeshed lacks the second
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

from ansible.module_utils.ansible_release import __version__ as ansible_version

from ansible_collections.hostup.cloud.plugins.module_utils import _clock
from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError
from ansible_collections.hostup.cloud.plugins.module_utils._version import VERSION

HAS_REQUESTS = True
try:
    import requests
    import urllib3
    from requests.adapters import HTTPAdapter
except ImportError:
    HAS_REQUESTS = False
    # stand-ins, so that this file can be imported and the client can say what is missing
    requests = urllib3 = None  # type: ignore[assignment]
    HTTPAdapter = object  # type: ignore[assignment,misc]
else:
    # requests does not wrap what it finds wrong with a host name, or with a Location that it is not to follow
    TRANSPORT_ERRORS = (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, ValueError)

# who refuses programs by their names refuses those of Python's libraries first (contract, "Ground rules")
USER_AGENT = f"hostup.cloud/{VERSION} ansible-core/{ansible_version}"
MOST_CONNECTIONS = 32  # kept open, one for each request in flight
SHORTEST_TIMEOUT = 1.0  # seconds, however near the deadline is
EXECUTION_ENVIRONMENT = "/runner"  # the folder in which all of them work
LARGEST_ANSWER = 8 * 1024 * 1024  # bytes
SHORTEST_TOKEN = 8  # characters of what may be a secret, whatever it is called


def tell_missing_requests() -> str:
    """What is missing, and how it can be had here."""
    missing = f"The Python library requests is needed, and {sys.executable} does not have it. "
    if Path(EXECUTION_ENVIRONMENT).is_dir():
        remedy = (
            "This is an execution environment: use an image that has it, as ansible-builder makes it of hostup.cloud."
        )
    else:
        remedy = f"Install it: {sys.executable} -m pip install requests (with pipx: pipx inject ansible-core requests)."
    return missing + remedy


def ca_bundle(ca_path: str | None) -> str:
    """Where the CA certificates are: the option, the variables that requests knows, its own bundle."""
    choices = (ca_path, os.environ.get("REQUESTS_CA_BUNDLE"), os.environ.get("CURL_CA_BUNDLE"))
    return next(filter(None, choices), requests.utils.DEFAULT_CA_BUNDLE_PATH)


@functools.cache
def tls_context(bundle: str, validate_certs: bool) -> ssl.SSLContext:
    """The TLS context of this process for these CA certificates; building one costs more than a request.

    Raises HostUpError when they cannot be loaded.
    """
    if not validate_certs:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    try:
        if Path(bundle).is_dir():
            return ssl.create_default_context(capath=bundle)
        return ssl.create_default_context(cafile=bundle)
    except OSError as error:
        raise HostUpError(f"The CA certificates in {bundle} cannot be loaded: {error}. See ca_path.") from None


def proxies_for(url: str) -> dict[str, str]:
    """The proxy to reach a URL, as requests takes it; empty for none.

    Only the environment is asked: to ask macOS for its settings crashes a forked process, as Ansible's workers are.
    Raises HostUpError for one that cannot be. It is not quoted, and no library gets to see it: with a character that
    is not percent-encoded, parts of the password pass for a host, a port or a path.
    """
    target, proxies = urlsplit(url), getproxies_environment()
    proxy = requests.utils.select_proxy(url, proxies)
    host, host_and_port = target.hostname or "", target.netloc.rpartition("@")[2]
    is_exempt = any(proxy_bypass_environment(name, proxies) for name in (host, host_and_port))
    if not proxy or is_exempt or _is_in_one_of(proxies.get("no", ""), host):
        return {}
    scheme = target.scheme
    with contextlib.suppress(ValueError):
        parts = urlsplit(proxy if "//" in proxy else f"//{proxy}")
        unquote(userinfo(proxy)).encode("latin-1")  # all that the header can carry
        if parts.hostname and parts.port != 0 and "@" not in parts.path + parts.query + parts.fragment:
            return {scheme: proxy}
    raise HostUpError(
        f"The proxy in {scheme.upper()}_PROXY or ALL_PROXY cannot be one: expected http://user:password@host:port, "
        "where special characters of user and password are percent-encoded, and none are beyond Latin-1."
    )


def tell_proxy(proxies: t.Mapping[str, str]) -> str:
    """The way through a proxy in words, with the variable that names it; empty for none. Its password is not told."""
    for scheme, proxy in proxies.items():
        variables = (f"{scheme}_proxy", "all_proxy")
        source = next((name for name in os.environ if name.lower() in variables and os.environ[name] == proxy), "")
        place = (proxy.partition("//")[2] or proxy).rpartition("@")[2].rstrip("/")
        return f" through the proxy {place} ({source or scheme.upper() + '_PROXY'})"
    return ""


def _is_in_one_of(networks: str, host: str) -> bool:
    """Whether NO_PROXY names a network that an address lies in."""
    for network in networks.replace(" ", "").split(","):
        with contextlib.suppress(ValueError):
            if "/" in network and ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False):
                return True
    return False


def userinfo(proxy: str) -> str:
    return (proxy.partition("//")[2] or proxy).rpartition("@")[0]


class _BoundedReader(io.RawIOBase):
    """Reads from a socket no longer and no more than one answer may take, however the server drips."""

    def __init__(self, sock: socket.socket, raw: io.RawIOBase) -> None:
        self._socket = sock
        self._raw = raw
        seconds = sock.gettimeout()
        self._until = None if seconds is None else _clock.socket_time() + seconds
        self._left = LARGEST_ANSWER

    def readable(self) -> bool:
        """It is for reading."""
        return True

    def readinto(self, buffer: t.Any) -> int:
        """Read what is there, or wait for more. Raises OSError after the time-out, ValueError for too much."""
        if self._until is not None:
            left = self._until - _clock.socket_time()
            if left <= 0.0:
                raise socket.timeout("the answer did not come to its end")
            self._socket.settimeout(left)
        size = self._raw.readinto(buffer) or 0
        self._left -= size
        if self._left < 0:
            raise ValueError(f"the answer is larger than {LARGEST_ANSWER // 1024**2} MiB")
        return size

    def close(self) -> None:
        """Close the socket's file, too."""
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    """An answer whose head and body together have to come within the time-out."""

    def __init__(self, sock: socket.socket, *args: t.Any, **kwargs: t.Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_BoundedReader(sock, self.fp.detach()))


class _Adapter(HTTPAdapter):
    """The connections of this process. Hands the TLS context to the pools: requests would load the CA bundle anew.

    Used without a `requests.Session`, whose cookies, redirects and netrc are not wanted here.
    """

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self._context = context
        super().__init__(pool_maxsize=MOST_CONNECTIONS)

    def init_poolmanager(self, *args: t.Any, **kwargs: t.Any) -> None:
        super().init_poolmanager(*args, **kwargs, ssl_context=self._context)
        _bound(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: t.Any) -> t.Any:
        is_new = proxy not in self.proxy_manager
        manager = super().proxy_manager_for(proxy, **kwargs, ssl_context=self._context)
        if is_new:
            _bound(manager)
        return manager

    def send(self, request: t.Any, *args: t.Any, **kwargs: t.Any) -> t.Any:
        kwargs["verify"] = self._context is None or self._context.verify_mode == ssl.CERT_REQUIRED
        return super().send(request, *args, **kwargs)

    def exchange(
        self,
        method: str,
        url: str,
        *,
        query: t.Mapping[str, str] | None,
        body: t.Mapping[str, t.Any] | None,
        headers: dict[str, str],
        timeout: float,
        proxies: dict[str, str],
    ) -> t.Any:
        """Send a request, and read the whole answer. Raises `TRANSPORT_ERRORS`."""
        request = requests.Request(method, url, params=query, json=body, headers=headers).prepare()
        response = self.send(request, timeout=timeout, proxies=proxies)
        response.content  # noqa: B018 - reads it
        return response

    def cert_verify(self, conn: t.Any, _url: t.Any, verify: t.Any, _cert: t.Any) -> None:
        conn.cert_reqs = "CERT_REQUIRED" if verify else "CERT_NONE"


def _bound(manager: t.Any) -> None:
    """Have the connections of a pool manager bound their answers."""
    pools = {}
    for scheme, pool in manager.pool_classes_by_scheme.items():
        connection = type("Connection", (pool.ConnectionCls,), {"response_class": _Response})
        pools[scheme] = type("Pool", (pool,), {"ConnectionCls": connection})
    manager.pool_classes_by_scheme = pools


@functools.cache
def adapter_with(bundle: str | None, validate_certs: bool) -> _Adapter:
    """The connections of this process that trust these CA certificates. Raises HostUpError as `tls_context` does.

    Without a bundle, for plain http: to load one takes longer than most tasks.
    """
    if not validate_certs:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    return _Adapter(tls_context(bundle, validate_certs) if bundle else None)


def login_secrets(userinfo: str) -> set[str]:
    """What must not be shown of ``user:password`` in a URL. A user alone may be a token if it is long."""
    user, colon, password = userinfo.partition(":")
    pieces = {f"//{userinfo}@"} if userinfo else set()
    if colon or len(user) >= SHORTEST_TOKEN:
        pieces |= {userinfo, password}
    return {secret for piece in pieces for secret in (piece, unquote(piece)) if secret}


def new_session() -> t.Any:
    """A session of requests for other servers than the API's, which are not told the key."""
    session = requests.Session()
    session.headers["User-Agent"] = USER_AGENT
    session.trust_env = False  # no netrc, and see `proxies_for`
    for scheme in ("http://", "https://"):
        session.mount(scheme, adapter_with(ca_bundle(None), True))
    return session


def is_tls_fault(error: Exception) -> bool:
    """Whether it will be the same next time."""
    return isinstance(error, requests.exceptions.SSLError)


def is_unknown_host(error: BaseException) -> bool:
    """Whether there is no address for the host's name."""
    return any(isinstance(cause, socket.gaierror) for cause in _causes(error))


def _causes(error: BaseException) -> t.Iterator[BaseException]:
    """The error, and what has led to it."""
    cause: BaseException | None = error
    while cause:
        yield cause
        cause = cause.__cause__ or cause.__context__


def explain_fault(error: Exception, timeout: float) -> str:
    """The reason of a requests exception in plain words, without the library's object dumps."""
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return f"no connection within {timeout:.0f} s (see api_timeout)"
    if isinstance(error, requests.exceptions.Timeout):
        return f"no whole answer came within {timeout:.0f} s (see api_timeout)"
    [*_later, cause] = _causes(error)
    if isinstance(cause, socket.timeout):  # what requests calls a failed connection, once the answer has begun
        return f"no whole answer came within {timeout:.0f} s (see api_timeout)"
    words = str(cause) or type(cause).__name__
    proxies = getproxies_environment().values()
    for secret in sorted(set().union(*(login_secrets(userinfo(proxy)) for proxy in proxies)), key=len, reverse=True):
        words = words.replace(secret, "***")  # a proxy may say what it thinks of them
    if is_tls_fault(error):
        return f"TLS failed, {words} (see ca_path and validate_certs)"
    return words
