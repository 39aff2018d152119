"""Bluesky plans for solid-state-battery pellets. Import from the modules; this file stays empty.

Public: the plans that `labctl plans` lists, `measurement_plan.measurement_plan`, `building_blocks.rest`,
`building_blocks.rest_to_drift`, `building_blocks.cycle`, `building_blocks.to_voltage`,
`building_blocks.spectrum`, `building_blocks.window_of`.
"""
