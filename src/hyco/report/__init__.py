"""The report of a run: its content, its table, what it cost, and what to worry about in words."""

from hyco.report.cost import profile, profile_page
from hyco.report.parameters import FIELDS_FILE, true_numbers
from hyco.report.report import report
from hyco.report.table import table

__all__ = ["FIELDS_FILE", "profile", "profile_page", "report", "table", "true_numbers"]
