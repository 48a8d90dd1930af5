"""The sandbox's test clocks, and the time of every customer."""
