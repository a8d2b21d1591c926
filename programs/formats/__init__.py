"""Output formats: each writes tags as text and reads them back. One module per format."""

from clinspan.programs.formats.base import Decoded, Format
from clinspan.programs.formats.bio_lines import BioLines
from clinspan.programs.formats.entities import Entities
from clinspan.programs.formats.inline import Inline

__all__ = ["BioLines", "Decoded", "Entities", "Format", "Inline"]
