"""Tests of the templates: which of them send the system text."""

from __future__ import annotations

from typing import Any

import pytest

from clinspan.lms.local.encoding import Encoder, PlainTokens
from clinspan.lms.templates import TEMPLATES, writes_system
from support.tiny_models import byte_tokenizer

TURNS = "{% for m in messages %}{% if m['role'] != 'system' %}<{{ m['role'] }}>{{ m['content'] }}{% endif %}{% endfor %}"
CHATS = {
    "writes": "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}",
    "drops": TURNS,
    "first turn": "{% if messages[0]['role'] == 'system' %}<user>{{ messages[0]['content'] }}{% endif %}" + TURNS,
    "refuses": "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}" + TURNS,
}
"""Chat templates as they occur: Gemma's puts the system text into the first turn, older ones refuse it, some leave it out."""


def tokenizer_with(chat: str) -> Any:
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = chat
    return tokenizer


@pytest.mark.parametrize(("name", "written"), [("writes", True), ("drops", False), ("first turn", True), ("refuses", True)])
def test_chat_templates_that_drop_the_system_text_are_found(name: str, written: bool) -> None:
    """A template that refuses a system message gets its text in the first turn, so that it is sent."""
    tokenizer = tokenizer_with(CHATS[name])
    assert writes_system("chat", tokenizer) is written
    encoder = Encoder(tokenizer, "chat", plain=PlainTokens(tokenizer))
    messages = [("system", "Find signs."), ("user", "No fever"), ("assistant", "O"), ("user", "A rash")]
    assert encoder.writes_system is written
    assert ("Find signs." in encoder.written(messages)) is written
    assert "A rash" in encoder.written(messages)


@pytest.mark.parametrize("template", [name for name in TEMPLATES if name != "chat"])
def test_of_our_templates_only_universalners_leaves_the_system_text_out(template: str) -> None:
    assert writes_system(template) is (template != "universalner")
