"""Explains rejected requests: names the parameter and the setting that fixes it, never text of the request."""

from __future__ import annotations

import json
import re
from typing import Any

_REFUSED = (400, 422)
_PASSED_ON = ("content_filter", "context_length_exceeded", "string_above_max_length")
_CODES = (
    "unsupported_parameter",
    "unsupported_value",
    "invalid_value",
    "invalid_type",
    "missing_required_parameter",
    "unknown_parameter",
    "integer_above_max_value",
    "decimal_above_max_value",
    "invalid_parameter_value",
)
_LIMITS = ("max_completion_tokens", "max_output_tokens", "max_tokens")
_MOST_NAMED = 2
_REPEATED = re.compile(r"""["'](messages|content|input)["']""")  # the message quotes the request
_TOO_MUCH = re.compile(r"too large|at most|maximum|exceed|above|less than or equal")
_SETTINGS = {
    "temperature": "model.temperature=null leaves it out",
    "reasoning_effort": "model.reasoning_effort=low (or medium, high, ...) sends it, null leaves it out",
    "reasoning": "model.reasoning_effort=low (or medium, high, ...) sends it, null leaves it out",
    "seed": "model.seed=null leaves it out",
    "logprobs": "model.wire.logprobs=false leaves it out",
    "top_logprobs": "model.wire.logprobs=false leaves it out",
    "prediction": "model.wire.prediction=false leaves it out",
    "response_format": "model.wire.grammar=null leaves it out",
    "structured_outputs": "model.wire.grammar=null leaves it out",
    "grammar": "model.wire.grammar=null leaves it out",
    "text": "model.wire.grammar=null leaves it out",
    "max_tokens": "model.token_limit=max_completion_tokens sends the budget by the other name",
    "max_completion_tokens": "model.token_limit=max_tokens sends the budget by the other name",
    "max_output_tokens": "model.route=chat sends the budget by another name",
    "store": "model.route=chat leaves it out",
}


def parameter_refused(status: int, body: bytes, request: bytes) -> str | None:
    """Explain a refusal that every request would meet because a parameter is wrong; None for any other refusal.

    Args:
        status: The response's status code.
        body: The response's body.
        request: The request's body.

    >>> parameter_refused(400, b'{"error": {"param": "temperature", "code": "unsupported_value"}}', b'{"temperature": 0.0}')
    'the server refuses temperature=0.0 (unsupported_value): model.temperature=null leaves it out'
    """
    if status not in _REFUSED:
        return None
    error = _error(body)
    code, message = str(error.get("code") or error.get("type") or ""), _words(error)
    if code in _PASSED_ON or "context length" in message or "content management policy" in message:
        return None
    sent = _sent(request)
    name = _parameter(error, message, sent)
    if name is None:
        return None
    parameter = f"{name}={sent[name]}" if isinstance(sent.get(name), (int, float)) else name
    code_note = f" ({code})" if code in _CODES else ""
    if name in _LIMITS and _TOO_MUCH.search(message):
        return f"the server refuses {parameter}{code_note}: it is too much for this model, set a smaller model.reasoning_tokens"
    if name not in sent:
        return f"the server requires {parameter}{code_note}: {_SETTINGS[name]}"
    setting = _SETTINGS.get(name) or f"leave model.parameters.{name} out"
    return f"the server refuses {parameter}{code_note}: {setting}"


def _object(text: bytes) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _error(body: bytes) -> dict[str, Any]:
    content = _object(body)
    error = content.get("error")
    return error if isinstance(error, dict) else content


def _words(error: dict[str, Any]) -> str:
    """The message of an error and the `detail` that FastAPI servers send in its place, in lower case."""
    return f"{error.get('message') or ''} {json.dumps(error.get('detail')) if 'detail' in error else ''}"[:4000].lower()


def _sent(request: bytes) -> dict[str, Any]:
    return {name: value for name, value in _object(request).items() if name not in ("messages", "input", "model")}


def _parameter(error: dict[str, Any], message: str, sent: dict[str, Any]) -> str | None:
    """The parameter that a refusal is about: one that was sent, or `reasoning_effort` if it is required."""
    known = [*sent, *(name for name in ("reasoning_effort",) if name not in sent)]
    named = re.split(r"[.\[]", str(error.get("param") or ""))[0]
    if named:
        return named if named in known else None
    mentioned = [name for name in known if re.search(rf"(?<!\w){re.escape(name.lower())}(?!\w)", message)]
    if len(mentioned) > _MOST_NAMED or _REPEATED.search(message):
        return None
    return min(mentioned, key=lambda name: message.index(name.lower())) if mentioned else None
