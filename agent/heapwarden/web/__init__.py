"""HTTP: health checks, metrics and JSON, all answered from the last snapshot.

No handler waits for a source. Whoever brings the token may ask for a restart or a drain; nothing else changes anything.
"""
