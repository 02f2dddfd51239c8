"""HTTP: health checks, metrics and JSON, all answered from the last snapshot.

No handler waits for a source. Nothing here changes anything.
"""
