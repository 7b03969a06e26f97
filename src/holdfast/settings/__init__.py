"""Typed settings: defaults, file, environment, and where each value came from."""

from holdfast.settings.catalog import SettingDoc, Value, describe
from holdfast.settings.loading import ConfigError, Loaded, Origin, Row, load, rows
from holdfast.settings.model import (
    PRIVACY_PARTS,
    AgentLogs,
    Daemon,
    Ingest,
    Journal,
    Logs,
    Privacy,
    Recording,
    Resources,
    Settings,
    Snapshots,
    Sources,
)
from holdfast.settings.rendering import json_schema, render_default_config, render_docs
from holdfast.settings.toml_text import write_value

__all__ = [
    "PRIVACY_PARTS",
    "AgentLogs",
    "ConfigError",
    "Daemon",
    "Ingest",
    "Journal",
    "Loaded",
    "Logs",
    "Origin",
    "Privacy",
    "Recording",
    "Resources",
    "Row",
    "SettingDoc",
    "Settings",
    "Snapshots",
    "Sources",
    "Value",
    "describe",
    "json_schema",
    "load",
    "render_default_config",
    "render_docs",
    "rows",
    "write_value",
]
