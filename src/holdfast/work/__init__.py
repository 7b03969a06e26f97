"""What is to be done and by whom, what was decided, what was learnt."""
