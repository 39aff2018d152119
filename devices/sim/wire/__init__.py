"""How an emulated instrument is reached, and the faults of its line."""
