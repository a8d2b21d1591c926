"""The DSPy signature of token tagging."""

from __future__ import annotations

import dspy


class TagTokens(dspy.Signature):
    """Tag each token of a clinical sentence with the BIO tag of the entity that it belongs to."""

    context: list[str] = dspy.InputField(desc="passages that may help, or none")
    tokens: list[str] = dspy.InputField(desc="the sentence, token by token")
    tags: list[str] = dspy.OutputField(desc="one BIO tag a token")


def build_signature(instructions: str) -> type[dspy.Signature]:
    """`TagTokens` with other instructions."""
    signature: type[dspy.Signature] = TagTokens.with_instructions(instructions)
    return signature
