"""Protocols in the form of aurora-unicycler.

Public: nothing.
"""
