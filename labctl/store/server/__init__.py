"""The service process of the store, and its tables.

Public: nothing.
"""
