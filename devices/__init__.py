"""Ophyd devices: the drivers, what they can be asked to do, and the simulated bench.

Public: what the packages `core`, `transport` and `sim.wire` call so. Drivers are reached by entry points.
"""
