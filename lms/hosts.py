"""Where an address leads: to this machine, or out of it. Whoever asks whether text may go somewhere asks here."""

from __future__ import annotations

import ipaddress
import os
import re
import urllib.request
from urllib.parse import urlsplit

from lms.errors import ModelError

_HERE = ("localhost", "127.0.0.1", "::1")
_ODD = re.compile(r"[\s\x00-\x1f\x7f\\?#]")


def host_outside(address: str) -> str | None:
    """The host of an address, or None if it is this machine.

    This machine is `localhost` and what is written as a loopback address; no name is resolved, since what a name means can
    change between the question and the request. Whatever only looks so is outside.

    >>> [host_outside(f"http://{h}/v1") for h in ("localhost:8000", "127.0.0.1:8000", "[::1]:8000")]
    [None, None, None]
    >>> host_outside("https://x.openai.azure.com"), host_outside("http://127.0.0.1.nip.io"), host_outside("http://2130706433")
    ('x.openai.azure.com', '127.0.0.1.nip.io', '2130706433')
    """
    host = _host(address)
    if host == "localhost":
        return None
    try:
        number = ipaddress.ip_address(host)
    except ValueError:
        return host or "an unknown host"
    mapped = getattr(number, "ipv4_mapped", None)
    return None if (mapped or number).is_loopback else host


def check_address(address: str, key: str) -> str:
    """The address, if it is one that all libraries read alike and that holds no secret.

    Args:
        address: As the user gave it.
        key: The setting it comes from, for the message.

    Raises:
        ModelError: It is none; the message does not repeat what may be a password.
    """
    if "@" in address:
        raise ModelError(f"{key} holds a user name or a password, which would be recorded: leave it out, the environment has keys")
    try:
        parts = urlsplit(address)
        sound = parts.scheme in ("http", "https") and bool(_host(address)) and (parts.port is None or parts.port > 0)
    except ValueError:
        sound = False
    if not sound or _ODD.search(address):
        shown = re.split(r"[?#]", address)[0]  # behind them there may be a key
        raise ModelError(f"{key}={shown} is no address: it reads http://HOST:PORT/... or https://... and has no ? or #")
    return address


def ask_directly(*addresses: str) -> None:
    """Have every library of this process and of its children ask this machine directly, whatever the environment says of proxies.

    Args:
        addresses: Of servers, beside the usual names of this machine; those outside it are left as they are.
    """
    here = [*_HERE, *(_host(address) for address in addresses if host_outside(address) is None)]
    for name in ("NO_PROXY", "no_proxy"):
        kept = [word for word in os.environ.get(name, "").split(",") if word]
        os.environ[name] = ",".join(dict.fromkeys([*kept, *here]))


def proxy_of(address: str) -> str | None:
    """The host of the proxy by which the environment sends requests to an address, if it is not asked directly."""
    if host_outside(address) is None:
        return None  # never: see `lms.lines`
    proxies = urllib.request.getproxies()
    found = proxies.get(urlsplit(address).scheme) or proxies.get("all")
    if not found or urllib.request.proxy_bypass(_host(address)):
        return None
    return urlsplit(found if "://" in found else f"http://{found}").hostname


def _host(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""
