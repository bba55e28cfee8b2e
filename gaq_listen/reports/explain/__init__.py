"""Why the summary of one pair is what it is: read in one snapshot, added up, drawn."""

from gaq_listen.reports.explain.reading import read as read
from gaq_listen.reports.explain.rendering import render as render
