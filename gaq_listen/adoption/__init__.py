"""Support applications whose own table gaq_summaries, or whose database, moves to gaq-listen."""
