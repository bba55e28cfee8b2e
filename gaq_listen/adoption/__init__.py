"""What only an application needs whose own table gaq_summaries, or whose database, moves to gaq-listen."""
