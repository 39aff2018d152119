"""The emulated Eurotherm 3200."""
