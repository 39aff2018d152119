"""Stored runs, found and compared.

Public: nothing.
"""
