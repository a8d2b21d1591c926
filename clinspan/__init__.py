"""Token-level clinical named entity recognition with declarative prompt programs: the public API.

    from clinspan import Annotator, load_corpus, score

Names are imported when they are first used, so `import clinspan` takes no time. The commands are `clinspan run`, `clinspan
annotate` and so on; in a checkout also `python -m programs.run`.
"""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_PLACES = {
    "Annotator": "clinspan.programs.annotation.annotator",
    "TagTokens": "clinspan.programs.tagging.signature",
    "Tagger": "clinspan.programs.tagging.tagger",
}
__all__ = ["Annotator", "TagTokens", "Tagger", "__version__"]

try:
    __version__ = version("clinspan")
except PackageNotFoundError:  # a checkout that is not installed
    __version__ = "0+unknown"


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'clinspan' has no attribute {name!r}")
    return getattr(importlib.import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return __all__
