"""One page that says in words what a study has shown, and what it has not."""

from bal.evaluation.reports.document import Report
from bal.evaluation.reports.page import report
from bal.evaluation.reports.render import write_report

__all__ = ["Report", "report", "write_report"]
