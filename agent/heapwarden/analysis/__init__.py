"""Pure functions of a process's samples: pressure and collections.

Nothing here judges (that is policy), keeps state between calls, or knows a setting.
"""
