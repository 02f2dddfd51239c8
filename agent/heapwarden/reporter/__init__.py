"""The script that Node preloads, and how to put it in place.

``heapwarden.cjs`` has no dependencies, never throws into its host and never keeps it alive. The protocol it speaks
stands in ``docs/reporter-protocol.md``.
"""
