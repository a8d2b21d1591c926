"""Output formats: how tags travel through text, both ways. One module a format."""

from clinspan.programs.formats.base import Decoded, Format
from clinspan.programs.formats.bio_lines import BioLines
from clinspan.programs.formats.entities import Entities
from clinspan.programs.formats.inline import Inline

__all__ = ["BioLines", "Decoded", "Entities", "Format", "Inline"]
