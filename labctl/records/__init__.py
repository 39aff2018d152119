"""The records that a person writes: cells, stations, limits.

Public: `cell.Cell`, `cell.load_cell`, `limits.Limits`, `station.Station`, `station.load_station`,
`station.packaged_config`.
"""
