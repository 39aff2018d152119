"""The name under which servers configured before version 0.2 find this; now `labctl.store.tiled`."""

from labctl.store.tiled import json_seq

__all__ = ["json_seq"]
