"""A recorded run for people: tables as CSV, and one page of HTML with everything."""

from __future__ import annotations

from labctl.report.html_page import page
from labctl.report.spreadsheet import export_csv

__all__ = ["export_csv", "page"]
