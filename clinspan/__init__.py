"""Token-level clinical named entity recognition with declarative prompt programs: the public API.

    from clinspan import Annotator, load_corpus, score

Names are imported when they are first used, so `import clinspan` takes no time. The commands are `clinspan run`, `clinspan
annotate` and so on; in a checkout also `python -m programs.run`.
"""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TYPE_CHECKING

if TYPE_CHECKING:
    from clinspan.metrics.scoring import score
    from clinspan.metrics.seqeval_f1 import SeqevalF1
    from clinspan.programs.annotation.annotation import Annotation
    from clinspan.programs.annotation.annotator import Annotator
    from clinspan.programs.annotation.build_annotator import load_program
    from clinspan.programs.building.library import load_corpus, local_lm
    from clinspan.programs.compare import compare
    from clinspan.programs.tagging.signature import TagTokens
    from clinspan.programs.tagging.tagger import Tagger

_PLACES = {
    "Annotation": "clinspan.programs.annotation.annotation",
    "Annotator": "clinspan.programs.annotation.annotator",
    "SeqevalF1": "clinspan.metrics.seqeval_f1",
    "TagTokens": "clinspan.programs.tagging.signature",
    "Tagger": "clinspan.programs.tagging.tagger",
    "compare": "clinspan.programs.compare",
    "load_corpus": "clinspan.programs.building.library",
    "load_program": "clinspan.programs.annotation.build_annotator",
    "local_lm": "clinspan.programs.building.library",
    "score": "clinspan.metrics.scoring",
}
__all__ = [
    "Annotation",
    "Annotator",
    "SeqevalF1",
    "TagTokens",
    "Tagger",
    "__version__",
    "compare",
    "load_corpus",
    "load_program",
    "local_lm",
    "score",
]

if not (Path(__file__).parent / "programs" / "__init__.py").is_file():
    __path__.append(str(Path(__file__).resolve().parents[1]))  # an unpacked sdist, or a checkout without symbolic links

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
