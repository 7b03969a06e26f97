"""What the program says of itself: its status now, and how its last run ended."""

from holdfast.status.model import SCHEMA_VERSION, HealthStatus, LastRun, Status, status_schema

__all__ = ["SCHEMA_VERSION", "HealthStatus", "LastRun", "Status", "status_schema"]
