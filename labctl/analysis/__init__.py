"""Analysis: pure functions from arrays to results with units, windows and validity flags.

Public: `conditions.conditions_of`, `dcir.analyze_dcir`, `ici.analyze_ici`.
"""
