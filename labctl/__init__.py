"""labctl: instrument control and acquisition for solid-state-battery testing."""

__version__ = "0.1.0"
