"""Text exports of BioLogic's EC-Lab and BT-Lab.

Public: nothing.
"""
