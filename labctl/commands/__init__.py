"""What the commands of `labctl` do; the command line itself is in labctl/cli.py.

Public: `interrupt.PauseAtOnce`.
"""
