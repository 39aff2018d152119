"""Panels of the live window."""
