"""Recording rules and alerts: defined once, as data, and written in each dialect.

``recording``, ``events``, ``forecast`` and ``closest`` say what is recorded; ``alerts`` and those it gathers what
alarms; ``links`` where an alert leads to. ``prometheus``, ``operator`` and ``grafana`` write them. What is recorded has
its names in :mod:`mixin.vocabulary`.
"""
