"""Eurotherm 3200 series temperature controllers.

Public: nothing.
"""
