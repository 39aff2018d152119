"""Where the runs of a data directory are shipped to: its own Tiled server, or a lab-wide one.

The choice belongs to the data directory. A station that names a lab-wide store notes it there, so that every
command that is given the directory finds the same store; the key stays in its own file.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import orjson

from labctl.errors import ConfigurationError
from labctl.platform import read_regular, write_private
from labctl.records.station import Station

NOTE_NAME = "lab-store.json"
_LARGEST_BYTE = 100_000


@dataclass(frozen=True)
class LabStore:
    """A lab-wide Tiled server.

    Attributes:
        uri: Of the server, or of the container in it that takes the runs.
        api_key_file: Holds the API key, and nothing else.
    """

    uri: str
    api_key_file: Path

    def api_key(self) -> str:
        """The key.

        Raises:
            ConfigurationError: The file cannot be read, is readable by others, or holds no key.
        """
        path = self.api_key_file
        try:
            key = read_regular(path, _LARGEST_BYTE).decode("ascii").strip()
            mode = path.stat().st_mode
        except (OSError, UnicodeDecodeError) as error:
            raise self._refused(f"cannot be read: {error}") from error
        if sys.platform != "win32" and mode & 0o077:
            raise self._refused("must be readable by its owner only (chmod 600)")
        if not key or any(character.isspace() for character in key):
            raise self._refused("must contain the API key in one line, and nothing else")
        return key

    def _refused(self, allowed: str) -> ConfigurationError:
        where = f"lab-wide store {self.uri}"
        return ConfigurationError(where, "api_key_file", str(self.api_key_file), allowed)


def lab_store_named_by(station: Station) -> LabStore | None:
    """The lab-wide store in a station file; None if it has no `store`."""
    if station.store is None:
        return None
    beside = station.path.parent if station.path else Path()
    return LabStore(station.store.uri, (beside / station.store.api_key_file.expanduser()).absolute())


def lab_store_of(data_directory: Path) -> LabStore | None:
    """The lab-wide store of a data directory; None when it has a server of its own.

    Raises:
        ConfigurationError: The note about it is damaged.
    """
    path = _note(data_directory)
    try:
        told = orjson.loads(read_regular(path, _LARGEST_BYTE))
        return LabStore(str(told["uri"]), Path(told["api_key_file"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            str(path), "content", None, f"is damaged ({error}); remove it and start the station again"
        ) from error


def use_lab_store(data_directory: Path, lab: LabStore | None) -> bool:
    """Note the store that a station names for its data directory; nothing happens if it names none.

    Returns:
        True when that is news: a service that runs already does not know of it.

    Raises:
        ConfigurationError: The runs of this directory already go elsewhere, or the key is not there.
    """
    if lab is None:
        return False
    lab.api_key()
    known = lab_store_of(data_directory)
    if known is not None and known.uri != lab.uri:
        allowed = f"the runs of {data_directory} go to {known.uri}; take another data directory, or end its "
        allowed += f"shipping (labctl store stop), remove {_note(data_directory)} and start again"
        raise ConfigurationError("station", "store.uri", lab.uri, allowed)
    if known == lab:
        return False
    path = _note(data_directory)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    told = {"uri": lab.uri, "api_key_file": os.fspath(lab.api_key_file)}
    write_private(path, orjson.dumps(told))
    return True


def _note(data_directory: Path) -> Path:
    return Path(data_directory).resolve() / "store" / NOTE_NAME
