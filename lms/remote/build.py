"""Builds models behind HTTP on DSPy's native client: Azure OpenAI, and OpenAI-compatible servers."""

from __future__ import annotations

import os
from collections.abc import Sequence

import dspy

from clinspan.lms.errors import ModelError, UnavailableError
from clinspan.lms.remote.endpoint_pool import Endpoint
from clinspan.lms.remote.entra import EntraTokens
from clinspan.lms.remote.load_balancer import native_engine, ServedEngine
from clinspan.lms.remote.request_settings import Route
from clinspan.lms.remote.transport import HttpTransport, Limits, Rewrite
from clinspan.lms.specs import AzureModel, OpenAIModel, sound_key


def build_azure(spec: AzureModel) -> dspy.LM:
    """Build the DSPy model of an Azure deployment.

    Raises:
        UnavailableError: The environment lacks the endpoint or the key, or none of several endpoints answers.
    """
    deployed, endpoints = spec.deployed, spec.endpoints
    tokens = EntraTokens(spec.auth_scope) if spec.auth == "entra" else None
    keys = ["entra"] * len(endpoints) if tokens else _azure_keys(spec)
    version = os.environ.get("AZURE_OPENAI_API_VERSION", "")
    if spec.batch:
        from clinspan.lms.remote.batch.build import build_azure_batch

        return build_azure_batch(spec, _alone(spec), keys[0], version)
    places = []
    for address, key in zip(endpoints, keys, strict=True):
        root = address.rstrip("/").removesuffix("/openai/v1")
        transport = HttpTransport(
            f"{root}/openai/v1",
            model=deployed,
            timeout=spec.timeout,
            connections=spec.concurrency,
            rewrite=_dated(root, deployed, version, spec.route) if version[:1].isdigit() else None,
            headers={} if tokens else {"api-key": key},
            limits=_limits(spec),
            tokens=tokens,
        )
        places.append((transport, root, key))
    return _built(spec, f"azure/{deployed}", places)


def build_openai(spec: OpenAIModel) -> dspy.LM:
    """Build the DSPy model of an OpenAI-compatible server.

    Raises:
        ModelError: No model id is given.
        UnavailableError: None of several servers answers.
    """
    if not spec.id:
        raise ModelError(f"model=openai needs model.id=NAME, the model's name on the server at {spec.endpoints[0]}")
    key = spec.key
    if spec.batch:
        from clinspan.lms.remote.batch.build import build_openai_batch

        return build_openai_batch(spec, _alone(spec))
    places = []
    for address in spec.endpoints:
        headers = {"Authorization": f"Bearer {key}"}
        transport = HttpTransport(
            address, model=spec.id, timeout=spec.timeout, connections=spec.concurrency, headers=headers, limits=_limits(spec)
        )
        places.append((transport, address.rstrip("/"), key))
    return _built(spec, f"{'openai' if spec.route == 'responses' else 'hosted_vllm'}/{spec.id}", places)


def _built(spec: AzureModel | OpenAIModel, model: str, places: Sequence[tuple[HttpTransport, str, str]]) -> dspy.LM:
    """Build the model from its transports, each with the base address and the key for DSPy's client."""
    endpoints = []
    for transport, address, key in places:
        client = native_engine(model, address, key, transport, route=spec.route)
        endpoints.append(Endpoint(transport.address, client, transport.health_error))
    single = len(endpoints) == 1
    patience = 2.0**spec.retries - 1  # the sum of the pauses of DSPy's exponential backoff
    engine = ServedEngine(endpoints, patience=patience, settings=spec.request_settings)
    return dspy.LM(model, engine=engine, model_type=spec.route, cache=False, num_retries=spec.retries if single else 0)


def _limits(spec: AzureModel | OpenAIModel) -> Limits:
    return Limits(
        connect=spec.connect_timeout,
        check=spec.check_timeout,
        answer_bytes=round(spec.max_answer_mib * (1 << 20)),
        pause=spec.longest_pause,
    )


def _alone(spec: AzureModel | OpenAIModel) -> str:
    """The single endpoint that batches are sent to.

    Raises:
        ModelError: There are several endpoints.
    """
    if len(spec.endpoints) > 1:
        raise ModelError(f"model.batch=true takes one endpoint, here are {', '.join(spec.endpoints)}: name one of them")
    return spec.endpoints[0]


def _dated(root: str, deployment: str, version: str, route: Route) -> Rewrite:
    """Return a rewrite to the route of a dated API version, which has the deployment in the path of chat completions."""
    place = f"deployments/{deployment}/chat/completions" if route == "chat" else "responses"
    url = f"{root}/openai/{place}?api-version={version}"
    return lambda requested_url: url


def _azure_keys(spec: AzureModel) -> list[str]:
    """The keys, one per endpoint.

    Raises:
        UnavailableError: There is no key, or the numbers of keys and endpoints differ.
    """
    values = os.environ.get("AZURE_OPENAI_API_KEY", "").split(",")
    keys = [sound_key(key, "AZURE_OPENAI_API_KEY") for key in values if key.strip()]
    endpoints = spec.endpoints
    if not keys:
        ways = "AZURE_OPENAI_API_KEY in the environment, or model.auth=entra"
        raise UnavailableError(f"model={spec.name} needs {ways} (endpoint: {', '.join(endpoints)})")
    if len(keys) not in (1, len(endpoints)):
        raise UnavailableError(f"AZURE_OPENAI_API_KEY holds {len(keys)} keys for {len(endpoints)} endpoints: give one, or one each")
    return keys * len(endpoints) if len(keys) == 1 else keys
