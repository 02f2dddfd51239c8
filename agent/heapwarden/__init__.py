"""Heapwarden guards the memory of Node.js processes.

The layers stand in ``pyproject.toml`` under ``tool.importlinter``; each package's docstring says what lives in it.
"""

if __name__ != "heapwarden":
    raise ImportError(f"import this package as 'heapwarden', not as {__name__!r}: the folder 'agent' is not a package")

__version__ = "0.1.0"
