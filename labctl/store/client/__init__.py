"""Reading stored runs, and comparing them with their journals.

Public: `store.Store`.
"""
