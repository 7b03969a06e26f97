"""holdfast keeps the conversations of AI coding agents, for good, under a ceiling.

As a library: `from holdfast import Governor, SessionStore` (docs/library.md); to talk to a daemon:
`from holdfast import Holdfast, AsyncHoldfast, NewEvent` (docs/streams.md). All are loaded when they
are first named, so that the command line and its probes stay as light as they are.
"""

__version__ = "0.1.0"

__all__ = [
    "AsyncHoldfast",
    "Governor",
    "Holdfast",
    "LocalStreams",
    "NewEvent",
    "SessionStore",
    "__version__",
]

TYPE_CHECKING = False  # type checkers know this name; `typing` itself costs 8 ms
if TYPE_CHECKING:
    from holdfast.embedded import Governor, SessionStore
    from holdfast.journal.streams import NewEvent
    from holdfast.local import LocalStreams
    from holdfast.remote import AsyncHoldfast, Holdfast


_HOMES = {
    "AsyncHoldfast": "holdfast.remote",
    "Governor": "holdfast.embedded",
    "Holdfast": "holdfast.remote",
    "LocalStreams": "holdfast.local",
    "NewEvent": "holdfast.journal.streams",
    "SessionStore": "holdfast.embedded",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
