"""The root of every error that people see, and the exit code each one ends the program with."""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar


class Exit(IntEnum):
    """Exit codes are a promise to scripts; docs/operations.md lists them and a test compares."""

    OK = 0
    FAILURE = 1  # something went wrong that no other code names
    USAGE = 2  # the command line is wrong
    CONFIG = 3  # the configuration is wrong
    NOT_FOUND = 4  # no such session, file or block
    AMBIGUOUS = 5  # the name fits several sessions
    NOT_RUNNING = 6  # the command needs a daemon and none answers
    ALREADY_RUNNING = 7  # another daemon or import holds the journal
    JOURNAL = 8  # the journal is damaged, too new, or cannot be written
    REFUSED = 9  # the write policy refuses the path
    OVERSIZED = 10  # a session is over budget and `snapshots.oversized` is `fail`
    BUSY = 11  # the daemon is short of memory and takes no such work for now
    UNWELL = 12  # `holdfast doctor` found a problem
    CONFLICT = 13  # somebody else changed it first
    REJECTED = 14  # a person said no
    EXPIRED = 15  # nobody said anything in time
    RESTART_WANTED = 75  # stopped cleanly because memory stayed critical; restart me
    INTERRUPTED = 130  # Ctrl-C


class HoldfastError(Exception):
    """Something a person can mend. The message says what happened and what to do."""

    exit: ClassVar[Exit] = Exit.FAILURE
