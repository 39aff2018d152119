"""Replay of a stored run."""
