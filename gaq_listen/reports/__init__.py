"""Read and show what commands print. A module has a query and then rendering, which needs no database."""
