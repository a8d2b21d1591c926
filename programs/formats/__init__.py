"""Output formats: each writes tags as text and reads them back. One module per format."""

from clinspan.programs.formats.base import Format
from clinspan.programs.formats.bio_lines import BioLines
from clinspan.programs.formats.entities import Entities
from clinspan.programs.formats.inline import Inline
from clinspan.programs.formats.phrases import Phrases
from clinspan.programs.formats.types import Decoded

__all__ = ["BioLines", "Decoded", "Entities", "Format", "Inline", "Phrases"]
