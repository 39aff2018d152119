"""Ophyd devices: the drivers, what they can be asked to do, and the simulated bench."""
