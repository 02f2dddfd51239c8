"""``python -m heapwarden`` is the ``heapwarden`` command."""

import sys

from heapwarden.cli import main

sys.exit(main())
