"""Dashboards, rules and alerts as code: one definition of each, and every file that is made of it.

A monitoring mixin, as the field calls it. ``boards`` builds Grafana dashboards, ``rules`` defines recording rules and
alerts and writes them in each dialect, ``provisioning`` writes what Grafana mounts. Nothing here runs in the agent, and
nothing imports it. ``python -m mixin`` (``make dashboards``) writes all files; the tests hold them against the commit.
"""
