"""The name under which servers configured before version 0.2 find this; now `labctl.store.tiled`."""

from labctl.store.tiled import DatabaseTable

__all__ = ["DatabaseTable"]
