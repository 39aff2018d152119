"""Cycling data, cycle by cycle."""
