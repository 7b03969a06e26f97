"""What is to be done, what was decided, what was learnt: readings of the log."""
