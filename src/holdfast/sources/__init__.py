"""Where events come from: one small module per agent."""
