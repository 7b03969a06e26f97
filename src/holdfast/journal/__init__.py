"""The truth: every conversation, durable, in order, and searchable."""
