"""``python -m semflash.cli``."""

from semflash.cli.main import main

raise SystemExit(main())
