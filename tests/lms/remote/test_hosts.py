"""Tests of `host_outside`, which decides where an address leads, against the HTTP client's reading of 29,000 addresses."""

from __future__ import annotations

import ipaddress
import itertools

import httpx
import pytest

from clinspan.lms.remote.hosts import host_outside, unencrypted_host

SCHEMES = ["http://", "https://", "HTTP://", "http:", "//", "", "http:///"]
HOSTS = [
    "localhost",
    "127.0.0.1",
    "[::1]",
    "127.1",
    "0",
    "2130706433",
    "0x7f000001",
    "evil.test",
    "localhost.evil.test",
    "127.0.0.1.evil.test",
    "evil.test@localhost",
    "localhost@evil.test",
    "[::ffff:127.0.0.1]",
    "[::ffff:8.8.8.8]",
    "LOCALHOST",
    "ⓛocalhost",
    "127.0.0.1%00.evil.test",
    "local\thost",
]
ENDINGS = [
    "",
    ".",
    ":80",
    ":8000",
    ":99999",
    ":",
    "#evil.test",
    "?evil.test",
    "\\evil.test",
    "\\@evil.test",
    "@evil.test",
    " evil.test",
    "%2eevil.test",
    ",evil.test",
    ";evil.test",
    ":80@evil.test",
    "/@evil.test",
    "\n.evil.test",
    "%00",
    "。evil.test",
    "..evil.test",
    ":0",
    ":08000",
    "[",
    "]",
    "%25",
    "&evil.test",
    "\u202eevil.test",
    "%2f@evil.test",
    "/..//evil.test",
    ":80:80",
    "..",
    "\x00",
    "-",
]
PATHS = ["", "/", "/v1", "/v1?x=1", "/../v1", "//evil.test/v1", "/v1#x"]


def is_here(host: str) -> bool:
    """Return whether the host of a parsed address is this machine, without a name server."""
    if host.rstrip(".").lower() == "localhost":
        return True
    try:
        number = ipaddress.ip_address(host)
    except ValueError:
        return False
    return bool((getattr(number, "ipv4_mapped", None) or number).is_loopback)


def test_no_address_that_counts_as_local_leads_to_another_machine() -> None:
    tried = 0
    for parts in itertools.product(SCHEMES, HOSTS, ENDINGS, PATHS):
        address = "".join(parts)
        tried += 1
        if host_outside(address) is not None:
            continue
        try:
            client_host = httpx.URL(address).host
        except httpx.InvalidURL:
            continue
        if client_host:
            assert is_here(client_host), address
    assert tried > 29_000


@pytest.mark.parametrize("before", ["evil.test#", "user:password@", "evil.test/"])
@pytest.mark.parametrize(
    "scheme", ["file", "sqlite", "mlflow-artifacts", "postgresql", "mysql+pymysql", "s3", "gs", "dbfs", "ftp", "x"]
)
def test_other_schemes_count_as_remote_if_they_name_a_host(scheme: str, before: str) -> None:
    assert host_outside(f"{scheme}://evil.test/path") is not None
    assert host_outside(f"{scheme}://{before}evil.test/path") is not None
    assert host_outside(f"{scheme}://localhost.evil.test") is not None


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://localhost/db?host=far",
        "postgresql:///db?host=far",
        "postgresql://localhost,far/db",
        "//far/share",
        "databricks",
        "",
        "far.example",
        "C:\\share",
        "\\\\far\\share",
        "file://far/x",
        "sqlite://far",
        "http://localhost\\@far/",
    ],
)
def test_addresses_that_are_not_clearly_local_count_as_remote(address: str) -> None:
    assert host_outside(address) is not None


def test_only_plain_http_to_another_machine_counts_as_unencrypted() -> None:
    assert unencrypted_host("HTTP://far/v1") == "far"
    assert [unencrypted_host(a) for a in ("https://far/v1", "http://127.0.0.1:9/v1", "sqlite:///x", "s3://bucket")] == [None] * 4
