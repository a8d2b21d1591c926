"""Prompt templates: turn a conversation into the string that a local model was trained on.

A message is a `(role, content)` pair with the role `system`, `user` or `assistant`. A prompt ends where the
model's answer begins. Templates do not depend on the content of messages.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from clinspan.lms.errors import ModelError

Message = tuple[str, str]
Template = Callable[..., str]


def chat(messages: Sequence[Message], tokenizer: Any, **options: Any) -> str:
    """Apply the tokenizer's chat template. If it refuses a system message, the system text is put into the first turn.

    Args:
        messages: The conversation.
        tokenizer: The model's tokenizer.
        options: Further arguments of the template, such as `enable_thinking=False` of Qwen 3.

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
    """Resolve a template setting: `auto` is the tokenizer's chat template, or `plain` if it has none."""
    if name != "auto":
        return name
    return "chat" if getattr(tokenizer, "chat_template", None) else "plain"


def plain(messages: Sequence[Message], tokenizer: Any = None) -> str:
    r"""Blocks with headers, for base models.

    >>> plain([("system", "Tag."), ("user", "No fever")])
    'Tag.\n\nInput:\nNo fever\n\nOutput:\n'
    """
    heads = {"system": "", "user": "Input:\n", "assistant": "Output:\n"}
    return "".join(f"{heads[role]}{content}\n\n" for role, content in messages) + "Output:\n"


def alpaca(messages: Sequence[Message], tokenizer: Any = None) -> str:
    r"""The prompt format that Llama2-MedTuned was tuned on (Rohanian et al. 2023): one space before later headers.

    >>> alpaca([("system", "Tag."), ("user", "No fever")])
    '### Instruction: Tag.\n ### Input: No fever\n ### Output:'
    """
    heads = {"system": "### Instruction: ", "user": " ### Input: ", "assistant": " ### Output: "}
    return "\n".join(heads[role] + content for role, content in messages) + "\n ### Output:"


def universalner(messages: Sequence[Message], tokenizer: Any = None) -> str:
    """The conversation format that UniversalNER was tuned on (Zhou et al. 2023). It has no place for instructions.

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
"""Text between the end of a prompt and the answer proper; the model generates it."""
_PROBE = "\ue000system\ue001"


def writes_system(template: str, tokenizer: Any = None, options: Mapping[str, Any] | None = None) -> bool:
    """Whether prompts of a template contain the system text of a conversation. Some templates leave it out without an error.

    Args:
        template: One of `TEMPLATES`.
        tokenizer: The model's tokenizer; only `chat` needs it.
        options: Further arguments of the chat template.

    Raises:
        ModelError: The tokenizer has no chat template, or its template refuses conversations.

    >>> writes_system("alpaca"), writes_system("universalner")
    (True, False)
    """
    return _PROBE in TEMPLATES[template]([("system", _PROBE), ("user", "a")], tokenizer, **(options or {}))
