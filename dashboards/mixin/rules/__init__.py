"""Recording rules and alerts: defined once, as data, and written in each dialect.

``recording``, ``events`` and ``forecast`` say what is recorded; ``alerts`` what alarms, and ``links`` where an alert leads
to. ``prometheus``, ``operator`` and ``grafana`` write them. What they record is named in :mod:`mixin.vocabulary`.
"""
