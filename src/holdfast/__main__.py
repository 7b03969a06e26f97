"""`python -m holdfast`."""

import sys

from holdfast.cli.entry import main

sys.exit(main())
