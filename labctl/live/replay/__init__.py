"""Replay of a stored run.

Public: nothing.
"""
