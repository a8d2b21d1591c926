"""Prompt templates: turn a conversation into the string that a local model was trained on.

A message is a `(role, content)` pair with the role `system`, `user` or `assistant`; a prompt ends where the
model's answer begins. Templates know nothing of what the messages are about.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from clinspan.lms.errors import ModelError

Message = tuple[str, str]
Template = Callable[..., str]


def chat(messages: Sequence[Message], tokenizer: Any, **options: Any) -> str:
    """The tokenizer's own chat template; one that has no place for a system text gets it before the first turn.

    Args:
        messages: The conversation.
        tokenizer: The model's.
        options: What the template knows beside messages, such as `enable_thinking=False` of Qwen 3.

    Raises:
        ModelError: The tokenizer has no template, or its template refuses the conversation.
    """
    from jinja2.exceptions import TemplateError

    if not getattr(tokenizer, "chat_template", None):
        raise ModelError("this model has no chat template: set model.template=plain or alpaca")
    turns = [{"role": role, "content": content} for role, content in messages]
    write = functools.partial(tokenizer.apply_chat_template, tokenize=False, add_generation_prompt=True, **options)
    try:
        return str(write(turns))
    except TemplateError:
        try:
            return str(write(_without_system(turns)))
        except TemplateError as error:
            problem = str(error).splitlines()[0][:120]
            raise ModelError(f"the model's chat template refuses the conversation ({problem}): set model.template=plain") from None


def _without_system(turns: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    if len(turns) < 2 or turns[0]["role"] != "system":
        return list(turns)
    return [{"role": "user", "content": f"{turns[0]['content']}\n\n{turns[1]['content']}"}, *turns[2:]]


def template_of(name: str, tokenizer: Any) -> str:
    """The template that a setting means: `auto` is the tokenizer's own, or `plain` where it has none."""
    if name != "auto":
        return name
    return "chat" if getattr(tokenizer, "chat_template", None) else "plain"


def plain(messages: Sequence[Message], tokenizer: Any = None) -> str:
    r"""Headed blocks, for base models.

    >>> plain([("system", "Tag."), ("user", "No fever")])
    'Tag.\n\nInput:\nNo fever\n\nOutput:\n'
    """
    heads = {"system": "", "user": "Input:\n", "assistant": "Output:\n"}
    return "".join(f"{heads[role]}{content}\n\n" for role, content in messages) + "Output:\n"


def alpaca(messages: Sequence[Message], tokenizer: Any = None) -> str:
    r"""The wire format that Llama2-MedTuned was tuned on (Rohanian et al. 2023): one space before later headers.

    >>> alpaca([("system", "Tag."), ("user", "No fever")])
    '### Instruction: Tag.\n ### Input: No fever\n ### Output:'
    """
    heads = {"system": "### Instruction: ", "user": " ### Input: ", "assistant": " ### Output: "}
    return "\n".join(heads[role] + content for role, content in messages) + "\n ### Output:"


def universalner(messages: Sequence[Message], tokenizer: Any = None) -> str:
    """The conversation that UniversalNER was tuned on (Zhou et al. 2023), which has no place for instructions.

    >>> turns = [("user", "Text: No fever"), ("assistant", "I've read this text."), ("user", "What describes sign in the text?")]
    >>> universalner(turns).split("USER: ", 1)[1]
    "Text: No fever ASSISTANT: I've read this text.</s>USER: What describes sign in the text? ASSISTANT:"
    """
    text = "A virtual assistant answers questions from a user based on the provided text. "
    for role, content in messages:
        if role == "user":
            text += f"USER: {content} ASSISTANT:"
        elif role == "assistant":
            text += f" {content}</s>"
    return text


TEMPLATES: dict[str, Template] = {"chat": chat, "plain": plain, "alpaca": alpaca, "universalner": universalner}
STOPS: dict[str, tuple[str, ...]] = {
    "chat": (),
    "plain": ("\n\n",),
    "alpaca": ("\n ###", "\n###", "</s>"),
    "universalner": ("</s>",),
}
LEADS = {"chat": "", "plain": "", "alpaca": " ", "universalner": " "}
"""What stands between the end of a prompt and the answer proper; the model says it itself."""
