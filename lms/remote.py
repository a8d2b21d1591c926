"""Models behind HTTP, by DSPy's native routes: Azure OpenAI, and servers that speak OpenAI's chat completions."""

from __future__ import annotations

import os
from typing import Any

import dspy

from lms.errors import ModelError, UnavailableError
from lms.specs import AzureModel, OpenAIModel


def build_azure(spec: AzureModel) -> dspy.LM:
    """The deployment as a DSPy model.

    Raises:
        UnavailableError: The endpoint or the key is not in the environment.
    """
    endpoint = spec.endpoint
    if not os.environ.get("AZURE_OPENAI_API_KEY"):
        raise UnavailableError(f"model={spec.name} needs AZURE_OPENAI_API_KEY in the environment (endpoint: {endpoint})")
    deployment = spec.deployment or os.environ.get("AZURE_OPENAI_DEPLOYMENT") or spec.name
    options: dict[str, Any] = {"cache": False, "num_retries": spec.retries, "timeout": spec.timeout}
    version = os.environ.get("AZURE_OPENAI_API_VERSION", "")
    if version[:1].isdigit():  # a dated version is a route of its own, which DSPy leaves to LiteLLM
        options |= {"api_base": endpoint, "api_key": os.environ["AZURE_OPENAI_API_KEY"], "api_version": version}
    return dspy.LM(f"azure/{deployment}", **options)


def build_openai(spec: OpenAIModel) -> dspy.LM:
    """The server's model as a DSPy model.

    Raises:
        ModelError: No model id is given.
    """
    if not spec.id:
        raise ModelError(f"model=openai needs model.id=NAME, the model's name on the server at {spec.endpoint}")
    key = os.environ.get(spec.key_variable) or "no-key"
    return dspy.LM(
        f"hosted_vllm/{spec.id}",
        api_base=spec.endpoint.rstrip("/"),
        api_key=key,
        cache=False,
        num_retries=spec.retries,
        timeout=spec.timeout,
    )
