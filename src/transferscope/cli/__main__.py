import sys

from transferscope.cli.main import main

sys.exit(main())
