"""Tiled document store: the service, the shipper that fills it, the client that reads it."""
