"""holdfast keeps the conversations of AI coding agents, for good, under a ceiling.

As a library: `from holdfast import Governor, SessionStore` (docs/library.md); to talk to a daemon:
`from holdfast import Holdfast, AsyncHoldfast, NewEvent` (docs/streams.md). All are loaded when they
are first named, so that the command line and its probes stay as light as they are.
"""

__version__ = "0.1.0"

__all__ = ["AsyncHoldfast", "Governor", "Holdfast", "NewEvent", "SessionStore", "__version__"]

TYPE_CHECKING = False  # type checkers know this name; `typing` itself costs 8 ms
if TYPE_CHECKING:
    from holdfast.embedded import Governor, SessionStore
    from holdfast.journal.streams import NewEvent
    from holdfast.remote import AsyncHoldfast, Holdfast


def __getattr__(name: str) -> object:
    if name in ("Governor", "SessionStore"):
        from holdfast import embedded

        return getattr(embedded, name)
    if name in ("AsyncHoldfast", "Holdfast"):
        from holdfast import remote

        return getattr(remote, name)
    if name == "NewEvent":
        from holdfast.journal.streams import NewEvent as Given

        return Given
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
