"""Microsoft Entra ID tokens instead of API keys, renewed before they expire or when a server rejects them."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from clinspan.lms.errors import UnavailableError

SCOPE = "https://cognitiveservices.azure.com/.default"
"""The scope of Azure OpenAI; a sovereign cloud has its own (`model.auth_scope`)."""
_EARLY = 300.0


class EntraTokens:
    """Gets tokens for one scope. Threads may share it.

    `DefaultAzureCredential` takes a managed identity, a workload identity, a service principal in the environment, or the account
    that is signed in with `az login`. No prompt text is sent to get a token.

    Args:
        scope: The scope of the tokens.
        clock: Returns the time in seconds since 1970.

    Raises:
        UnavailableError: The package `azure-identity` is not installed.
    """

    def __init__(self, scope: str = SCOPE, *, clock: Any = time.time) -> None:
        try:
            from azure.identity import DefaultAzureCredential
        except ImportError:
            raise UnavailableError("model.auth=entra needs the package azure-identity: pip install 'clinspan[azure]'") from None
        logging.getLogger("azure").setLevel(logging.CRITICAL)  # its log lines name tenants and accounts
        self._credential = DefaultAzureCredential()
        self._scope, self._clock, self._lock = scope, clock, threading.Lock()
        self._token, self._expires = "", 0.0

    def header(self, refused: str | None = None) -> dict[str, str]:
        """The authorization header of a request.

        Args:
            refused: The header value that a server has just refused. A new token is requested, unless another thread has done so.

        Raises:
            UnavailableError: No identity is signed in, or the identity service does not answer.
        """
        with self._lock:
            if self._clock() > self._expires - _EARLY or refused == f"Bearer {self._token}":
                self._renew(forced=refused is not None)
            return {"Authorization": f"Bearer {self._token}"}

    def _renew(self, *, forced: bool) -> None:
        from azure.core.exceptions import AzureError

        if forced:  # the credential caches its tokens until they expire
            from azure.identity import DefaultAzureCredential

            self._credential = DefaultAzureCredential()
        try:
            access_token = self._credential.get_token(self._scope)
        except AzureError as error:
            raise UnavailableError(
                f"Entra ID gave no token ({type(error).__name__}): sign in with `az login`, give this machine an identity that may "
                "use the resource (role Cognitive Services OpenAI User), or use a key with model.auth=key"
            ) from None
        self._token, self._expires = access_token.token, float(access_token.expires_on)
