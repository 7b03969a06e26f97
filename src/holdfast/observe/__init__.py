"""What holdfast says about itself."""

from holdfast.observe.logs import EventLog, JsonLog, LogLevel, Logs, stdlib_handler, tail

__all__ = ["EventLog", "JsonLog", "LogLevel", "Logs", "stdlib_handler", "tail"]
