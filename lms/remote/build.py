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
    """The deployment as a DSPy model.

    Raises:
        UnavailableError: The endpoint or the key is not in the environment, or none of several endpoints answers.
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
        line = HttpTransport(
            f"{root}/openai/v1",
            model=deployed,
            timeout=spec.timeout,
            connections=spec.concurrency,
            rewrite=_dated(root, deployed, version, spec.route) if version[:1].isdigit() else None,
            headers={} if tokens else {"api-key": key},
            limits=_limits(spec),
            tokens=tokens,
        )
        places.append((line, root, key))
    return _built(spec, f"azure/{deployed}", places)


def build_openai(spec: OpenAIModel) -> dspy.LM:
    """The server's model as a DSPy model.

    Raises:
        ModelError: No model id is given.
        UnavailableError: There are several servers and none answers.
    """
    if not spec.id:
        raise ModelError(f"model=openai needs model.id=NAME, the model's name on the server at {spec.endpoints[0]}")
    key = spec.key
    if spec.batch:
        from clinspan.lms.remote.batch.build import build_openai_batch

        return build_openai_batch(spec, _alone(spec))
    places = []
    for address in spec.endpoints:
        about = {"Authorization": f"Bearer {key}"}
        line = HttpTransport(
            address, model=spec.id, timeout=spec.timeout, connections=spec.concurrency, headers=about, limits=_limits(spec)
        )
        places.append((line, address.rstrip("/"), key))
    return _built(spec, f"{'openai' if spec.route == 'responses' else 'hosted_vllm'}/{spec.id}", places)


def _built(spec: AzureModel | OpenAIModel, model: str, places: Sequence[tuple[HttpTransport, str, str]]) -> dspy.LM:
    """The model by its lines, each with the base address that DSPy's client wants and the key."""
    endpoints = []
    for line, address, key in places:
        client = native_engine(model, address, key, line, route=spec.route)
        endpoints.append(Endpoint(line.address, client, line.health_error))
    alone = len(endpoints) == 1
    patience = 2.0**spec.retries - 1  # what DSPy's exponential backoff adds up to
    engine = ServedEngine(endpoints, patience=patience, settings=spec.request_settings)
    return dspy.LM(model, engine=engine, model_type=spec.route, cache=False, num_retries=spec.retries if alone else 0)


def _limits(spec: AzureModel | OpenAIModel) -> Limits:
    return Limits(
        connect=spec.connect_timeout,
        check=spec.check_timeout,
        answer_bytes=round(spec.max_answer_mib * (1 << 20)),
        pause=spec.longest_pause,
    )


def _alone(spec: AzureModel | OpenAIModel) -> str:
    """The endpoint that batches go to.

    Raises:
        ModelError: There are several.
    """
    if len(spec.endpoints) > 1:
        raise ModelError(f"model.batch=true takes one endpoint, here are {', '.join(spec.endpoints)}: name one of them")
    return spec.endpoints[0]


def _dated(root: str, deployment: str, version: str, route: Route) -> Rewrite:
    """The route of a dated version, on which the deployment stands in the path of chat completions."""
    place = f"deployments/{deployment}/chat/completions" if route == "chat" else "responses"
    url = f"{root}/openai/{place}?api-version={version}"
    return lambda asked: url


def _azure_keys(spec: AzureModel) -> list[str]:
    """A key an endpoint.

    Raises:
        UnavailableError: There is none, or not as many as endpoints.
    """
    given = os.environ.get("AZURE_OPENAI_API_KEY", "").split(",")
    keys = [sound_key(key, "AZURE_OPENAI_API_KEY") for key in given if key.strip()]
    endpoints = spec.endpoints
    if not keys:
        ways = "AZURE_OPENAI_API_KEY in the environment, or model.auth=entra"
        raise UnavailableError(f"model={spec.name} needs {ways} (endpoint: {', '.join(endpoints)})")
    if len(keys) not in (1, len(endpoints)):
        raise UnavailableError(f"AZURE_OPENAI_API_KEY holds {len(keys)} keys for {len(endpoints)} endpoints: give one, or one each")
    return keys * len(endpoints) if len(keys) == 1 else keys
