"""A measurement as data, and its files."""
