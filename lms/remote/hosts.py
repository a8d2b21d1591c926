"""Decides whether an address leads to this machine or out of it; every check of where text may go uses this module."""

from __future__ import annotations

import ipaddress
import os
import re
import urllib.request
from collections.abc import Iterable
from urllib.parse import urlsplit

from clinspan.lms.errors import ModelError

_HERE = ("localhost", "127.0.0.1", "::1")
_WEB = ("http", "https")
_DATABASES = ("mysql", "postgresql", "mssql")
_LOCAL_SCHEMES = ("sqlite", "file", "mlflow-artifacts")
_UNPRINTABLE = re.compile(r"[\s\x00-\x1f\x7f\\]")
_ODD = re.compile(r"[\s\x00-\x1f\x7f\\?#]")


def host_outside(address: str) -> str | None:
    """The host outside this machine that an address leads to, or None if it is this machine.

    This function decides for all kinds of address: servers, databases, files and artifact stores. This machine is `localhost` and
    every literal loopback address. No name is resolved, because its address can change between the check and the request.
    Whatever is not known to be on this machine counts as outside.

    >>> [host_outside(f"http://{h}/v1") for h in ("localhost:8000", "127.0.0.1:8000", "[::1]:8000")]
    [None, None, None]
    >>> host_outside("https://x.openai.azure.com"), host_outside("http://127.0.0.1.nip.io"), host_outside("http://2130706433")
    ('x.openai.azure.com', '127.0.0.1.nip.io', '2130706433')
    >>> [host_outside(p) for p in ("sqlite:////data/m.db", "/data/files", "runs/mlflow", "file:///data", "mlflow-artifacts:/1")]
    [None, None, None, None, None]
    >>> host_outside("file://far/share"), host_outside("//far/share"), host_outside("mlflow-artifacts://far/1"), host_outside("s3://b")
    ('far', 'far', 'far', 'b')
    >>> host_outside("postgresql://localhost/db"), host_outside("postgresql://localhost/db?host=far"), host_outside("databricks")
    (None, 'an unknown host', 'databricks')
    """
    if _UNPRINTABLE.search(address):
        return "an unknown host"
    try:
        parts = urlsplit(address)
        scheme, host = parts.scheme.partition("+")[0], parts.hostname or ""
    except ValueError:
        return "an unknown host"
    if scheme in _LOCAL_SCHEMES or not scheme:  # a path, or artifacts of a server whose own address is checked
        if parts.netloc:
            return None if scheme == "file" and host == "localhost" else host or parts.netloc
        plain_path = address.startswith(("/", "./", "../", "runs/")) or bool(scheme)
        return None if plain_path else address or "an unknown host"
    if scheme in _DATABASES and parts.query:  # the query may name another host
        return "an unknown host"
    if scheme not in (*_WEB, *_DATABASES):
        return host or address
    return None if _is_loopback(host) else host or "an unknown host"


def hosts_outside(addresses: Iterable[str]) -> str | None:
    """The hosts outside this machine that addresses lead to, each once, or None.

    >>> hosts_outside(["http://a/v1", "http://localhost/v1", "http://a/v2", "http://b"]), hosts_outside(["/data"])
    ('a, b', None)
    """
    return ", ".join(dict.fromkeys(filter(None, map(host_outside, addresses)))) or None


def unencrypted_host(address: str) -> str | None:
    """The host outside this machine that an address leads to over plain HTTP, or None.

    >>> unencrypted_host("http://far:8000/v1"), unencrypted_host("https://far/v1"), unencrypted_host("http://localhost/v1")
    ('far', None, None)
    """
    return host_outside(address) if urlsplit(address).scheme.lower() == "http" else None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        number = ipaddress.ip_address(host)
    except ValueError:
        return False
    return bool((getattr(number, "ipv4_mapped", None) or number).is_loopback)


def check_address(address: str, key: str) -> str:
    """Return an address if all libraries parse it alike and it holds no secret.

    Args:
        address: As the user gave it.
        key: The setting it comes from, for the message.

    Raises:
        ModelError: The address fails this check; the message does not repeat what may be a password.
    """
    if "@" in address:
        raise ModelError(
            f"{key} holds a user name or a password, which would be recorded: leave it out and set the key in the environment"
        )
    try:
        parts = urlsplit(address)
        sound = parts.scheme in ("http", "https") and bool(_host(address)) and (parts.port is None or parts.port > 0)
    except ValueError:
        sound = False
    if not sound or _ODD.search(address):
        shown = re.split(r"[?#]", address)[0]  # the query may hold a key
        raise ModelError(f"{key}={shown} is not a valid address: use http://HOST:PORT/... or https://..., without ? or #")
    return address


def ask_directly(*addresses: str) -> None:
    """Make every library in this process and its children connect to this machine without a proxy, whatever the environment says.

    Args:
        addresses: Addresses of servers, in addition to the usual names of this machine; those outside it are ignored.
    """
    local_hosts = [*_HERE, *(_host(address) for address in addresses if host_outside(address) is None)]
    for name in ("NO_PROXY", "no_proxy"):
        excluded = [word for word in os.environ.get(name, "").split(",") if word]
        os.environ[name] = ",".join(dict.fromkeys([*excluded, *local_hosts]))


def proxy_of(address: str) -> str | None:
    """The host of the proxy that the environment sets for an address; None for a direct connection."""
    if host_outside(address) is None:
        return None  # this machine is never reached through a proxy: see `lms.remote.transport`
    proxies = urllib.request.getproxies()
    proxy = proxies.get(urlsplit(address).scheme) or proxies.get("all")
    if not proxy or urllib.request.proxy_bypass(_host(address)):
        return None
    return urlsplit(proxy if "://" in proxy else f"http://{proxy}").hostname


def _host(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""
