"""Impedance spectra and the circuits that are fitted to them.

Public: `analysis.analyze_impedance`, `kramers_kronig.linear_kk`, `spectra.spectra`.
"""
