"""gaq-listen keeps stored GAQ summaries fresh, within milliseconds of the commit that changed them."""

__version__ = "0.1.0"
