"""From logs to the journal, exactly once, with every byte accounted for."""
