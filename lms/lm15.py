"""DSPy's types of requests and responses, and the engines behind them: the one place that names them.

DSPy vendors them (`dspy.lm15`) and announces renames for its next minor version.
"""

from __future__ import annotations

from dspy.clients.engines import Engine, LM15Engine
from dspy.lm15 import (
    Config,
    Message,
    RateLimitError,
    RefusalPart,
    Request,
    Response,
    response_to_events,
    RouterConfig,
    ServerError,
    TextPart,
    ThinkingPart,
    TimeoutError,
    TokenLogprob,
    TransportError,
    Usage,
)

__all__ = [
    "Config",
    "Engine",
    "LM15Engine",
    "Message",
    "RateLimitError",
    "RefusalPart",
    "Request",
    "Response",
    "RouterConfig",
    "ServerError",
    "TextPart",
    "ThinkingPart",
    "TimeoutError",
    "TokenLogprob",
    "TransportError",
    "Usage",
    "response_to_events",
]
