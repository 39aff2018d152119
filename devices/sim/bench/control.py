"""The bench's control port: JSON lines over TCP on loopback, the token first.

    -> {"token": "..."}                          <- {"ok": true}
    -> {"id": 1, "verb": "sleep", "seconds": 5}  <- {"id": 1, "ok": true, "result": 17.0}
    -> {"id": 2, "verb": "mount", ...}           <- {"id": 2, "ok": false, "error": "..."}

Requests of one connection run side by side; answers carry the id of their question.
"""

from __future__ import annotations

import asyncio
import hmac
import inspect
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from labctl.errors import LabctlError

_LONGEST_LINE_BYTE = 1 << 20
_TOKEN_WALL_SECOND = 5.0
Verb = Callable[..., Any]


class ControlServer:
    """Answers `verbs` (plain or async functions taking keywords) to clients that know the token."""

    def __init__(self, token: str, verbs: Mapping[str, Verb]) -> None:
        self._token, self._verbs = token, verbs
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.last_client_wall = time.monotonic()

    async def open(self) -> int:
        """Listen on a free loopback port; its number."""
        self._server = await asyncio.start_server(self._connection, "127.0.0.1", 0, limit=_LONGEST_LINE_BYTE)
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def clients(self) -> int:
        """How many clients are connected and known."""
        return len(self._writers)

    async def close(self) -> None:
        """Hang up."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers):
            writer.close()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks: set[asyncio.Task[None]] = set()
        try:
            if not await self._known(reader, writer):
                return
            self._writers.add(writer)
            while line := await reader.readline():
                task = asyncio.get_running_loop().create_task(self._answer(line, writer))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
        except (ConnectionError, ValueError, TimeoutError, asyncio.CancelledError):
            pass  # the client is gone or sent a line without end, or the bench ends
        finally:
            self._writers.discard(writer)
            self.last_client_wall = time.monotonic()
            for task in tasks:
                task.cancel()
            writer.close()

    async def _known(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        line = await asyncio.wait_for(reader.readline(), _TOKEN_WALL_SECOND)
        try:
            given = str(json.loads(line)["token"])
        except (ValueError, KeyError, TypeError):
            given = ""
        known = hmac.compare_digest(given.encode(), self._token.encode())
        _send(writer, {"ok": True} if known else {"ok": False, "error": "wrong token"})
        return known

    async def _answer(self, line: bytes, writer: asyncio.StreamWriter) -> None:
        reply: dict[str, Any] = {"id": None, "ok": False, "error": "internal error, see bench.log"}
        try:
            request = json.loads(line)
            reply["id"] = request.pop("id")
            reply |= {"result": await self._call(request.pop("verb"), request), "ok": True}
            del reply["error"]
        except (LabctlError, ValueError, KeyError, AttributeError, OSError) as error:
            reply["error"] = str(error) or type(error).__name__
        finally:
            _send(writer, reply)

    async def _call(self, name: str, arguments: dict[str, Any]) -> Any:
        verb = self._verbs.get(name)
        if verb is None:
            raise ValueError(f"verb = {name!r}: must be one of {', '.join(sorted(self._verbs))}")
        try:
            bound = inspect.signature(verb).bind(**arguments)
        except TypeError as error:
            raise ValueError(f"{name}: {error}") from None
        result = verb(*bound.args, **bound.kwargs)
        return await result if inspect.isawaitable(result) else result


def _send(writer: asyncio.StreamWriter, message: dict[str, Any]) -> None:
    if not writer.is_closing():
        writer.write(json.dumps(message).encode() + b"\n")
