"""Output formats: how tags travel through text, both ways. One module a format."""

from programs.formats.base import Decoded, Format
from programs.formats.bio_lines import BioLines
from programs.formats.entities import Entities
from programs.formats.inline import Inline

__all__ = ["BioLines", "Decoded", "Entities", "Format", "Inline"]
