"""Out to other tools: BDF, Parquet, CSV, Excel and HDF5 files of stored runs.

Public: `run.export_run`.
"""
