"""The emulated PalmSens EmStat4 HR."""
