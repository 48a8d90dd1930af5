"""Background jobs: the sweep over due work, tasks, workers' heartbeats, and test clocks."""
