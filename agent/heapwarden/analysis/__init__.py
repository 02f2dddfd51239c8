"""Pure functions of a process's samples: pressure, collections, and what its options and limits come to.

Nothing here judges (that is policy), keeps state between calls, or knows a setting.
"""
