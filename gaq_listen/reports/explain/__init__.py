"""Explain why the summary of a pair is what it is: read it in one snapshot, add it up, draw or export it."""

from gaq_listen.reports.explain.explanation_json import as_json as as_json
from gaq_listen.reports.explain.explanation_query import read as read
from gaq_listen.reports.explain.explanation_view import render as render
