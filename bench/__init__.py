"""Every figure that the docs quote: `python -m bench [NAME ...]`, one module per bar."""
