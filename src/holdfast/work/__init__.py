"""Work that is coordinated: what waits to be done, and by whom."""
