"""Prometheus text from one immutable snapshot.

Names, labels and meanings are the contract of ``docs/metrics.md``. Reads nothing but the snapshot it is given.
"""
