"""The records that a person writes: cells, stations, limits."""
