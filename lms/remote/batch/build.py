"""Builds models that answer through the Batch API, from a model config with `batch: true`."""

from __future__ import annotations

from typing import Any

import dspy
import openai

from clinspan.lms.errors import ModelError
from clinspan.lms.remote.audit import home
from clinspan.lms.remote.batch.engine import BatchEngine, BatchTransport
from clinspan.lms.remote.batch.files import BatchFiles
from clinspan.lms.remote.batch.service import BatchService
from clinspan.lms.remote.load_balancer import native_engine
from clinspan.lms.remote.transport import http_client
from clinspan.lms.specs import AzureModel, OpenAIModel

_MIB = 1024 * 1024
_MOST = {"azure": 100_000, "openai": 50_000}  # requests per file, from the services' documentation
_SIZE = 200 * _MIB


def build_azure_batch(spec: AzureModel, endpoint: str, key: str, version: str) -> dspy.LM:
    """Build a DSPy model that answers from batches of an Azure deployment (of the kind Global Batch or Data Zone Batch).

    Args:
        version: A dated API version; any other value selects the route without a version.

    Raises:
        ModelError: There is no run folder to keep batches in.
    """
    root = endpoint.rstrip("/").removesuffix("/openai/v1")
    options: dict[str, Any] = _options(spec, root, key)
    client: openai.OpenAI
    if version[:1].isdigit():
        client = openai.AzureOpenAI(azure_endpoint=root, api_version=version, **options)
    else:
        client = openai.OpenAI(base_url=f"{root}/openai/v1", default_headers={"api-key": key}, **options)
    return _built(spec, f"azure/{spec.deployed}", root, key=key, client=client, route="/chat/completions")


def build_openai_batch(spec: OpenAIModel, endpoint: str) -> dspy.LM:
    """Build a DSPy model that answers from batches of an OpenAI-compatible server, which needs `/files` and `/batches`.

    Raises:
        ModelError: There is no run folder to keep batches in.
    """
    client = openai.OpenAI(base_url=endpoint, **_options(spec, endpoint, spec.key))
    return _built(spec, f"hosted_vllm/{spec.id}", endpoint.rstrip("/"), key=spec.key, client=client, route="/v1/chat/completions")


def _options(spec: AzureModel | OpenAIModel, address: str, key: str) -> dict[str, Any]:
    client = http_client(address, timeout=spec.timeout)
    return {"api_key": key, "http_client": client, "max_retries": spec.retries, "timeout": spec.timeout}


def _built(spec: AzureModel | OpenAIModel, model: str, address: str, *, key: str, client: openai.OpenAI, route: str) -> dspy.LM:
    folder = home()
    if folder is None:
        raise ModelError("model.batch=true needs a folder to keep batches in: use it with programs.run or programs.annotate")
    max_requests = _MOST["azure" if isinstance(spec, AzureModel) else "openai"]
    files = BatchFiles(folder / "batches", address, requests=max_requests, size=_SIZE)
    model_name = model.partition("/")[2]
    service = BatchService(client, model=model_name, route=route, poll_seconds=spec.poll_seconds, retries=spec.retries)
    engine = BatchEngine(native_engine(model, address, key, BatchTransport(files, route)), files, service, spec.request_settings)
    return dspy.LM(model, engine=engine, cache=False, num_retries=0)
