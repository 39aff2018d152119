"""Connections to Tiled servers, on this computer and elsewhere."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from tiled.client.container import Container

from labctl.errors import StoreError


def plain_container(client: Any) -> Container:
    """The client of a node without the conveniences that its specs add."""
    return Container(client.context, item=client.item, structure_clients=client.structure_clients)


LOCK_NAME, INFO_NAME, LOG_NAME, STATUS_NAME = "service.lock", "service.json", "service.log", "shipper.json"
LETTERS_NAME, CATALOGUE_NAME, KEY_NAME = "refused", "catalogue.db", "api-key"


@dataclass(frozen=True)
class ServiceInfo:
    """Where the service answers.

    Attributes:
        uri: Of the Tiled server, for `tiled.client.from_uri(uri, api_key=api_key)`.
        api_key: Lets its bearer read and write; keep it private.
        pid: The service's process.
    """

    uri: str
    api_key: str
    pid: int

    def __repr__(self) -> str:
        return f"ServiceInfo(uri={self.uri!r}, pid={self.pid})"


def store_directory(data_directory: Path) -> Path:
    """The directory of the service's files; made, for its owner only, if it is not there."""
    store = Path(data_directory).resolve() / "store"
    store.mkdir(parents=True, exist_ok=True, mode=0o700)
    return store


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
