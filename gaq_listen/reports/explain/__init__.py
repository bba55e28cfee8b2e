"""Why the summary of one pair is what it is: read in one snapshot, added up, drawn or exported."""

from gaq_listen.reports.explain.explanation_json import as_json as as_json
from gaq_listen.reports.explain.explanation_query import read as read
from gaq_listen.reports.explain.explanation_view import render as render
