"""Simulate people who change QC flags on a private PostgreSQL, and measure how fast summaries become fresh."""
