"""What the configuration of a Tiled server names: these names stay, whatever moves behind them."""

from labctl.store.server.exporter import json_seq
from labctl.store.server.tables import DatabaseTable, arrow_file, csv

__all__ = ["DatabaseTable", "arrow_file", "csv", "json_seq"]
