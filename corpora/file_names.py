"""Document ids as safe file names."""

from __future__ import annotations

import hashlib
import re

_RISKY = re.compile(r"[\x00-\x1f\x7f\\]|%(?=[0-9A-F]{2})|^%$|^\.")
_MOST_BYTES, _MOST_IN_ALL = 180, 1000


def file_name(name: str) -> str:
    """Convert a note's id to a path below a folder: characters that are not safe there or lead out of it become `%XX`.

    Different ids give different paths. If a path is too long for the file system, a digest replaces its end.

    >>> file_name("ward 3/Müller"), file_name("../a"), file_name("a//b"), file_name("%2E")
    ('ward 3/Müller', '%2E./a', 'a/%/b', '%252E')
    """
    path = "/".join(_part(part) for part in name.split("/"))
    return path if len(path.encode()) <= _MOST_IN_ALL else _shortened(path.replace("/", "%2F"), name)


def _part(part: str) -> str:
    safe = _RISKY.sub(lambda match: f"%{ord(match.group()):02X}", part) or "%"
    if len(safe.encode()) <= _MOST_BYTES:
        return safe
    return _shortened(safe, part)


def _shortened(safe: str, name: str) -> str:
    return safe.encode()[:100].decode(errors="ignore") + "%" + hashlib.sha256(name.encode()).hexdigest()[:16].upper()
