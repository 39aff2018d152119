"""Connections to Tiled servers, on this computer and elsewhere."""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import urlsplit

from labctl.errors import StoreError
from labctl.store.service import ServiceInfo

_ANSWER_SECOND = 2.0


def connect(uri: str, key: str) -> Any:
    """A stock Tiled client; on loopback it goes directly, whatever proxies the environment names."""
    from tiled.client import from_uri

    return from_uri(uri, api_key=key, trust_env=not is_loopback(uri))


def is_loopback(uri: str) -> bool:
    """Whether this is on this computer, so that no proxy leads there."""
    return urlsplit(uri).hostname == "127.0.0.1"


def connected(info: ServiceInfo) -> Any:
    """The client of a store.

    Raises:
        StoreError: It does not answer, or does not accept the key.
    """
    import httpx

    if not listens(info.uri):  # the client would try for most of a minute
        raise StoreError(f"the document store at {info.uri} does not answer")
    try:
        return connect(info.uri, info.api_key)
    except (httpx.HTTPError, OSError) as error:
        raise StoreError(f"the document store at {info.uri}: {error}") from error


def listens(uri: str) -> bool:
    """Whether something listens at this address."""
    parts = urlsplit(uri)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=_ANSWER_SECOND).close()
    except OSError:
        return False
    return True
