"""OpenTelemetry spans of a run: calls, costs and times, without text.

A span holds names of settings, numbers and kinds of errors. It never holds prompts, answers, labels, tokens, ids of sentences or
documents, or the message of an exception. Spans may therefore go to a collector on another machine, whatever the corpus holds.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import dspy
from dspy.utils.callback import BaseCallback

from clinspan.corpora.printable import plural
from clinspan.programs.rundir.errors import RunError

Value = str | int | float | bool
_PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"
_under_way: list[Spans] = []


class NoTracing:
    """`tracing=none`."""

    def spans(self, name: str, about: Mapping[str, Value]) -> AbstractContextManager[None]:
        """Trace nothing."""
        return nullcontext()


@dataclass(frozen=True, kw_only=True)
class Otel:
    """`tracing=otel`: spans go to a collector by OTLP over HTTP.

    The standard environment variables configure it: `OTEL_EXPORTER_OTLP_ENDPOINT` (http://localhost:4318 if it is not set),
    `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_EXPORTER_OTLP_TIMEOUT`, `OTEL_SERVICE_NAME`, `OTEL_SDK_DISABLED` and so on.

    Attributes:
        service: The name of the service, unless a variable sets it.
    """

    service: str = "clinspan"

    @contextmanager
    def spans(self, name: str, about: Mapping[str, Value]) -> Iterator[None]:
        """Trace the enclosed block as one span `name`, with a child span for each request to a model and each search.

        The provider belongs to this run alone. Libraries that trace by themselves, and may put text into their spans, do not use
        it. If the collector is unreachable, spans are lost and a line on standard error says so, but the run does not fail.

        Raises:
            RunError: OpenTelemetry's SDK is not installed, or another protocol is configured.
        """
        exporter = Counted(build_exporter())
        provider, tracer = _provider(self.service, exporter)
        spans = Spans(tracer, name, about)
        _under_way.append(spans)
        others = list(dspy.settings.get("callbacks", []))
        dspy.configure(callbacks=[*others, _Calls(spans)])
        try:
            with spans.ending(spans.root):
                yield
        finally:
            _under_way.remove(spans)
            dspy.configure(callbacks=others)
            provider.shutdown()
            if exporter.lost:
                logging.getLogger("clinspan").warning("%d spans were lost", exporter.lost)
                print(
                    f"clinspan: {exporter.lost} {plural(exporter.lost, 'span')} did not reach the collector ({exporter.reason})",
                    file=sys.stderr,
                )


class Spans:
    """The spans of one run: a root span and its children.

    Args:
        tracer: The OpenTelemetry tracer.
        name: The name of the root span.
        about: The attributes of the root span.
    """

    def __init__(self, tracer: Any, name: str, about: Mapping[str, Value]) -> None:
        self._tracer = tracer
        self.root = tracer.start_span(name, attributes=dict(about))

    def begin(self, name: str, about: Mapping[str, Value]) -> Any:
        """Begin a child of the root span, from any thread."""
        from opentelemetry.trace import set_span_in_context

        return self._tracer.start_span(name, context=set_span_in_context(self.root), attributes=dict(about))

    @contextmanager
    def ending(self, span: Any) -> Iterator[None]:
        """End a span when the enclosed block ends, and note an error in it."""
        try:
            yield
        except BaseException as error:
            note_error(span, error)
            raise
        finally:
            span.end()


def note_error(span: Any, error: BaseException) -> None:
    """Record the kind of an error in a span. Its message is left out, because it may quote the corpus."""
    from opentelemetry.trace import Status, StatusCode

    span.set_attribute("error.type", type(error).__name__)
    span.set_status(Status(StatusCode.ERROR))


@contextmanager
def traced(name: str, **about: Value) -> Iterator[None]:
    """Trace the enclosed block as a span, if the run is traced.

    Args:
        name: The name of the span.
        about: The attributes of the span: names of settings and counts, but no text.
    """
    if not _under_way:
        yield
        return
    spans = _under_way[-1]
    with spans.ending(spans.begin(name, {f"clinspan.{key}": value for key, value in about.items()})):
        yield


def note(about: Mapping[str, Value | None]) -> None:
    """Add the results of the run to its root span, if the run is traced."""
    if _under_way:
        _under_way[-1].root.set_attributes({f"clinspan.{key}": value for key, value in about.items() if value is not None})


class _Calls(BaseCallback):
    """DSPy callback that traces each request to a model, also by optimizers. The time of a span includes waiting for a batch."""

    def __init__(self, spans: Spans) -> None:
        self._spans, self._lock = spans, threading.Lock()
        self._open: dict[str, Any] = {}

    def on_lm_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """Begin the span of a request. The names follow OpenTelemetry's conventions for generative models."""
        adapter = dspy.settings.get("adapter")
        about: dict[str, Value] = {"gen_ai.operation.name": "chat", "gen_ai.request.model": str(instance.model)}
        if adapter is not None:
            about["clinspan.format"] = type(adapter).__name__
        with self._lock:
            self._open[call_id] = self._spans.begin(f"chat {instance.model}", about)

    def on_lm_end(self, call_id: str, outputs: Any, exception: BaseException | None = None) -> None:
        """End the span of a request, with the number of tokens or the kind of error."""
        with self._lock:
            span = self._open.pop(call_id)
        if exception is not None:
            note_error(span, exception)
        usage = getattr(outputs, "usage", None)
        if usage is not None:
            span.set_attribute("gen_ai.usage.input_tokens", usage.input_tokens or 0)
            span.set_attribute("gen_ai.usage.output_tokens", usage.output_tokens or 0)
            span.set_attribute("clinspan.ended_by", str(outputs.finish_reason))
        span.end()


class Counted:
    """An exporter that counts what it could not deliver.

    Attributes:
        lost: Number of spans that did not arrive.
        reason: The reason in one word.
    """

    def __init__(self, inner: Any) -> None:
        self.inner, self.lost, self.reason = inner, 0, "refused"

    def export(self, spans: Any) -> Any:
        """Deliver spans. Never raises."""
        from opentelemetry.sdk.trace.export import SpanExportResult

        try:
            result = self.inner.export(spans)
        except Exception as error:  # a bad address or a broken connection
            result, self.reason = SpanExportResult.FAILURE, type(error).__name__
        self.lost += len(spans) if result is not SpanExportResult.SUCCESS else 0
        return result

    def shutdown(self) -> None:
        """Close the exporter."""
        self.inner.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Do nothing: this exporter has no buffer."""
        return True


def build_exporter() -> Any:
    """Build the span exporter: OTLP over HTTP, configured by environment variables.

    Raises:
        RunError: The exporter is not installed, or another protocol is configured.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError:
        raise RunError("tracing=otel needs OpenTelemetry's exporter: pip install 'clinspan[otel]'") from None
    protocol = os.environ.get(_PROTOCOL, "http/protobuf")
    if protocol != "http/protobuf":
        raise RunError(f"{_PROTOCOL}={protocol} is not supported: use http/protobuf, usually port 4318 of a collector")
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # lost spans are counted and reported once
    return OTLPSpanExporter()


def _provider(service: str, exporter: Counted) -> tuple[Any, Any]:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create()
    if str(resource.attributes.get("service.name")).startswith("unknown_service"):
        resource = resource.merge(Resource({"service.name": service}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider, provider.get_tracer("clinspan")
