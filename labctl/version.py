"""The version, for metadata and exports."""

__version__ = "0.1.0"
