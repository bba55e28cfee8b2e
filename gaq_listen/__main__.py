"""Run the command line as ``python -m gaq_listen``."""

from gaq_listen.cli.main import main

if __name__ == "__main__":
    main(prog_name="gaq-listen")
