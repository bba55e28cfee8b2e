"""Install, examine and remove gaq-listen in a database, as a DBA does."""
