"""The simulated bench: emulators on the instruments' wire protocols, one simulated pellet behind them.

Public: nothing.
"""
