"""Model specifications: one frozen class per kind of `model=` option. Unknown keys are rejected by the constructors."""

from __future__ import annotations

from clinspan.lms.protocols import OwnModel
from clinspan.lms.specs.local import ClassifierModel, Loadable, LocalModel
from clinspan.lms.specs.recorded import ReplayModel
from clinspan.lms.specs.remote import AzureModel, OpenAIModel, sound_key, Wire

__all__ = [
    "AzureModel",
    "ClassifierModel",
    "Loadable",
    "LocalModel",
    "ModelSpec",
    "OpenAIModel",
    "ReplayModel",
    "Wire",
    "sound_key",
]

ModelSpec = LocalModel | AzureModel | OpenAIModel | ReplayModel | OwnModel
"""Models that answer prompts."""
