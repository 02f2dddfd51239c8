"""Where figures come from: one file or package a source, each behind a port.

A source measures and converts; it doesn't judge, and doesn't know which rules hold. What comes from outside (``/proc``
of another user's process, a reporter's frame) is bounded and checked here, once. "Gone" and "not allowed" are no data.
"""
