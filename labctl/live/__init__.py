"""Live window: a process of its own that only reads journals.

Public: nothing.
"""
