"""Impedance spectra and the circuits that are fitted to them."""
