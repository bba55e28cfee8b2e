"""Save what this version installs, before the version is raised: ``python -m tests.upgrades.save``."""

import re
from pathlib import Path

from gaq_listen.db.sessions import SQL_VERSION
from gaq_listen.dba.sources import REFERENCE, named


def saved() -> str:
    """Return the SQL of an installation without lines that are comments."""
    texts = [f"-- What version {SQL_VERSION} installed, without its comments.\n"]
    for step in named(REFERENCE).steps():
        lines = [line for line in step.text.splitlines() if not line.lstrip().startswith("--")]
        texts.append("\n".join(lines).strip() + "\n")
    return re.sub(r"\n{3,}", "\n\n", "\n".join(texts))


if __name__ == "__main__":
    Path(__file__).with_name(f"version_{SQL_VERSION}.sql").write_text(saved(), encoding="utf-8")
