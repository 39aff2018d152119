"""labctl: instrument control and acquisition for solid-state-battery testing.

What a script or a notebook imports is here: `from labctl import open_session, load_station, load_cell`. These
names and those that a package's docstring calls public stay what they are; everything else may change.
Nothing heavy is imported before a name is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.version import __version__

if TYPE_CHECKING:
    from labctl.documents import tables
    from labctl.records.cell import Cell, load_cell
    from labctl.records.station import Station, load_station
    from labctl.session import Session, open_session
    from labctl.store.client.store import Store

__all__ = [
    "Cell",
    "Session",
    "Station",
    "Store",
    "__version__",
    "load_cell",
    "load_station",
    "open_session",
    "tables",
]


def __getattr__(name: str) -> object:
    """A public name, fetched from its module when it is first used."""
    if name in ("Session", "open_session"):
        from labctl.session import Session, open_session

        globals().update(Session=Session, open_session=open_session)
    elif name in ("Cell", "load_cell"):
        from labctl.records.cell import Cell, load_cell

        globals().update(Cell=Cell, load_cell=load_cell)
    elif name in ("Station", "load_station"):
        from labctl.records.station import Station, load_station

        globals().update(Station=Station, load_station=load_station)
    elif name == "Store":
        from labctl.store.client.store import Store

        globals().update(Store=Store)
    elif name == "tables":
        from labctl.documents import tables

        globals().update(tables=tables)
    else:
        raise AttributeError(f"module 'labctl' has no attribute {name!r}")
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
