"""Tiled document store: the service, the shipper that fills it, the client that reads it.

Public: what the package `client` calls so, and `tiled.py`, which configurations of servers name.
"""
