"""Protocols in the form of aurora-unicycler."""
