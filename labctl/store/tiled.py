"""The names for the configuration of a Tiled server; they do not change when modules are moved."""

from labctl.store.server.exporter import json_seq
from labctl.store.server.tables import DatabaseTable, arrow_file, csv

__all__ = ["DatabaseTable", "arrow_file", "csv", "json_seq"]
