"""Write every generated file, and remove those that are generated no more."""

import sys

from mixin.output import DASHBOARDS, write


def main() -> int:
    """Print what changed; 0 always: whether it should have is for the tests to say."""
    for change in write():
        sys.stdout.write(f"{change.relative_to(DASHBOARDS.parent)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
