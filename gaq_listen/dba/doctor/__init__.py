"""Compares what is installed with what should be, and looks for what makes marking blind or slow."""

from gaq_listen.dba.doctor.examination import examine
from gaq_listen.dba.doctor.finding import Finding
from gaq_listen.dba.doctor.rendering import render

__all__ = ["Finding", "examine", "render"]
