"""Versions that are looked at again and again, by several judges: the pieces of ``evidence_table.py``.

A judge is given the counts of many runs and says for each run at which look it had enough, or ``nan`` for never.
"""
