"""The server says no, until somebody changes something back."""

from gaq_listen.dba import installer
from tests.faults import refusing
from tests.faults.fault_environment import Site
from tests.faults.refusing import Change
from tests.faults.server import WORKER, Server


def too_many_connections(site: Site) -> None:
    refusing.without_connections(site.server)
    site.some_time(2)
    refusing.with_connections(site.server)


def rights_revoked(site: Site) -> None:
    site.all_started()
    refusing.without_rights(site.server)
    site.some_time(1)
    refusing.with_rights(site.server)


def password_changed(site: Site) -> None:
    def change(server: Server) -> None:
        refusing.wrong_password(server)
        server.ask(f"alter role {WORKER} password '{refusing.WRONG}'")

    def back(server: Server) -> None:
        server.ask(f"alter role {WORKER} password '{refusing.RIGHT}'")
        refusing.any_password(server)

    _ends_all(site, "wrong password", change, back)


def login_forbidden(site: Site) -> None:
    _ends_all(site, "role may not log in", refusing.without_login, refusing.with_login)


def database_gone(site: Site) -> None:
    _ends_all(site, "database dropped", refusing.moved, refusing.moved_back)


def schema_newer(site: Site) -> None:
    _ends_all(site, "schema newer", refusing.newer_schema, refusing.this_schema)


def uninstalled_and_installed_again(site: Site) -> None:
    def uninstall(server: Server) -> None:
        with server.connect() as connection:
            installer.uninstall(connection)

    def install(server: Server) -> None:
        with server.connect() as connection:
            installer.install(connection)

    _ends_all(site, "schema missing", uninstall, install)


def _ends_all(site: Site, what: str, change: Change, back: Change) -> None:
    """It ends every worker, each with one sentence and the exit code for that."""
    _, code, sentence = refusing.HOPELESS[what]
    workers = site.all_started()
    change(site.server)
    # Who is connected stays so: what has changed shows to who connects again.
    site.server.ask(refusing.END, dbname="postgres")
    for worker in workers:
        assert worker.wait() == code, worker.log
        refusing.one_sentence(worker, sentence)
    site.some_time(1)
    back(site.server)
    for worker in workers:
        site.replace(worker)
