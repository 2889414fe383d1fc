"""`python -m lan_session_manager`."""

import sys

from lan_session_manager.cli import main

sys.exit(main())
