"""The report of a run: errors, estimates and cost as JSON values and tables, and warnings where numbers may mislead."""

from hyco.report.cost import profile, profile_page
from hyco.report.parameters import FIELDS_FILE, true_numbers
from hyco.report.report import report
from hyco.report.table import table

__all__ = ["FIELDS_FILE", "profile", "profile_page", "report", "table", "true_numbers"]
