"""The DSPy signature of token tagging."""

from __future__ import annotations

import dspy


class TagTokens(dspy.Signature):
    """Tag each token of a clinical sentence with the BIO tag of the entity that it belongs to."""

    context: list[str] = dspy.InputField(desc="passages that may help, or none")
    tokens: list[str] = dspy.InputField(desc="the sentence, token by token")
    tags: list[str] = dspy.OutputField(desc="one BIO tag a token")


def build_signature(instructions: str, *, note: bool = False) -> type[dspy.Signature]:
    """`TagTokens` with other instructions and, if the prompt shows it, with the input `note`."""
    signature: type[dspy.Signature] = TagTokens.with_instructions(instructions)
    if note:
        described = dspy.InputField(desc="what the document says around the sentence, not to be tagged, or empty")
        signature = signature.append("note", described, str)
    return signature
