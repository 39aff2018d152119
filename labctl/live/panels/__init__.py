"""Panels of the live window.

Public: nothing.
"""
