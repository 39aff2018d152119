"""Conduction of ions and electrons through electrolyte and composite.

Public: `conductivity.analyze_conductivity`, `polarization.analyze_polarization`,
`tortuosity.analyze_tortuosity`.
"""
