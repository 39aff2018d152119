"""Bluesky plans for solid-state-battery pellets. Import from the modules; this file stays empty."""
