"""In from other tools: files of other instruments and formats become runs like measured ones.

Public: `run.import_file`.
"""
