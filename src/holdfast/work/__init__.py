"""Work that goes on: what waits, runs and is asked, as states that follow from streams."""
