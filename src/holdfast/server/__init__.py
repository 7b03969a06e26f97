"""HTTP over a unix socket: how commands and programs talk to the daemon."""
