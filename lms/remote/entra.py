"""Microsoft Entra ID tokens instead of API keys, renewed before they expire or when a server rejects them."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from clinspan.lms.errors import UnavailableError

SCOPE = "https://cognitiveservices.azure.com/.default"
"""Of Azure OpenAI; a sovereign cloud has its own (`model.auth_scope`)."""
_EARLY = 300.0


class EntraTokens:
    """Tokens for one scope; threads may share it.

    By `DefaultAzureCredential`: a managed identity, a workload identity, a service principal in the environment, or whoever is
    signed in with `az login`. No text is sent to get one.

    Args:
        scope: What the token is for.
        clock: Gives the time in seconds since 1970.

    Raises:
        UnavailableError: The package `azure-identity` is not installed.
    """

    def __init__(self, scope: str = SCOPE, *, clock: Any = time.time) -> None:
        try:
            from azure.identity import DefaultAzureCredential
        except ImportError:
            raise UnavailableError("model.auth=entra needs the package azure-identity: pip install 'clinspan[azure]'") from None
        logging.getLogger("azure").setLevel(logging.CRITICAL)  # it names tenants and accounts
        self._credential = DefaultAzureCredential()
        self._scope, self._clock, self._lock = scope, clock, threading.Lock()
        self._token, self._expires = "", 0.0

    def header(self, refused: str | None = None) -> dict[str, str]:
        """The header that a request carries.

        Args:
            refused: The header's value that a server has just refused: a new token is asked for, unless another thread has done so.

        Raises:
            UnavailableError: There is nobody signed in, or the identity service does not answer.
        """
        with self._lock:
            if self._clock() > self._expires - _EARLY or refused == f"Bearer {self._token}":
                self._renew(forced=refused is not None)
            return {"Authorization": f"Bearer {self._token}"}

    def _renew(self, *, forced: bool) -> None:
        from azure.core.exceptions import AzureError

        if forced:  # the credential keeps tokens of its own until they expire
            from azure.identity import DefaultAzureCredential

            self._credential = DefaultAzureCredential()
        try:
            found = self._credential.get_token(self._scope)
        except AzureError as error:
            raise UnavailableError(
                f"Entra ID gave no token ({type(error).__name__}): sign in with `az login`, give this machine an identity that may "
                "use the resource (role Cognitive Services OpenAI User), or use a key with model.auth=key"
            ) from None
        self._token, self._expires = found.token, float(found.expires_on)
