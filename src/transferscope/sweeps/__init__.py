"""Many runs from one command: the grid, its launchers, seeds until decided, search with equal budgets."""
