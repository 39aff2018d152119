"""The store's service process and what it serves.

Public: nothing.
"""
