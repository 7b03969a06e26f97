"""`holdfast doctor`: looks at everything that can be wrong, and says how to mend it."""

from holdfast.doctor.evidence import Evidence
from holdfast.doctor.report import SCHEMA_VERSION, Report, examine, report_schema

__all__ = ["SCHEMA_VERSION", "Evidence", "Report", "examine", "report_schema"]
