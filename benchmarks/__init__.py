"""Measure what gaq-listen costs and gains, beside lower bounds and other systems."""
