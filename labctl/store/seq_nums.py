"""The seq_nums that a table in Tiled holds, read as they come: one piece in memory, however long it is."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

_ARROW_FILE = "application/vnd.apache.arrow.file"
_MAGIC_BYTE = 8  # of an Arrow file; what follows is an Arrow stream, and a footer after its end


@dataclass(frozen=True)
class Held:
    """How many different seq_nums there are, and the highest; 0 without rows."""

    count: int
    highest: int


def held(table: Any) -> Held:
    """What a table in Tiled holds.

    Raises:
        httpx.HTTPError: Tiled does not answer, or refuses.
    """
    count, highest = 0, 0
    for numbers in _pieces(table):
        if not len(numbers):
            continue
        if numbers[0] <= highest or (np.diff(numbers) <= 0).any():  # another server, in another order
            whole = np.unique(np.concatenate(list(_pieces(table))))
            return Held(len(whole), int(whole[-1]))
        count, highest = count + len(numbers), int(numbers[-1])
    return Held(count, highest)


def _pieces(table: Any) -> Iterator[np.ndarray]:
    headers = {"Accept": _ARROW_FILE, "Accept-Encoding": "identity"}
    full, column = table.item["links"]["full"], {"column": ["seq_num"]}
    with table.context.http_client.stream("GET", full, params=column, headers=headers) as response:
        response.raise_for_status()
        file = io.BufferedReader(_Chunks(response.iter_raw()))
        file.read(_MAGIC_BYTE)
        for batch in pa.ipc.open_stream(file):
            yield batch["seq_num"].to_numpy(zero_copy_only=False)


class _Chunks(io.RawIOBase):
    """A file of chunks of bytes that come one after the other."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._rest = chunks, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            if not (chunk := next(self._chunks, b"")):
                return 0
            self._rest = memoryview(chunk)
        length = min(len(buffer), len(self._rest))
        buffer[:length], self._rest = self._rest[:length], self._rest[length:]
        return length
