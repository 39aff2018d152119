"""The simulated bench: emulators that speak the instruments' wire protocols in front of one simulated pellet."""
