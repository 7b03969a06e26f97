"""What benches share: rows and bars, temporary homes, corpora, readings of /proc, the report."""
