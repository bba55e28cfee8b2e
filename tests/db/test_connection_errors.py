"""Test what the message of a failed connection says about waiting for the server."""

import psycopg
import pytest

from gaq_listen.db.connection_errors import Outlook, classify
from gaq_listen.db.server_errors import sentence

SERVER = 'connection failed: connection to server on socket "/s/.s.PGSQL.5432" failed: '


@pytest.mark.parametrize(
    ("message", "outlook"),
    [
        ("FATAL:  the database system is starting up", Outlook.WAIT),
        ("FATAL:  the database system is shutting down", Outlook.WAIT),
        ("FATAL:  the database system is not yet accepting connections", Outlook.WAIT),
        ("FATAL:  the database system is not accepting connections", Outlook.WAIT),
        ("FATAL:  the database system is in recovery mode", Outlook.WAIT),
        ("FATAL:  sorry, too many clients already", Outlook.WAIT),
        ("FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute", Outlook.WAIT),
        ('FATAL:  too many connections for role "gaq_listen"', Outlook.WAIT),
        ('FATAL:  too many connections for database "bookkeeping"', Outlook.WAIT),
        ('FATAL:  password authentication failed for user "gaq_listen"', Outlook.GIVE_UP),
        ("fe_sendauth: no password supplied", Outlook.GIVE_UP),
        ('FATAL:  role "gaq_listen" does not exist', Outlook.GIVE_UP),
        ('FATAL:  role "gaq_listen" is not permitted to log in', Outlook.GIVE_UP),
        ('FATAL:  database "bookkeeping" does not exist', Outlook.GIVE_UP),
        ("Connection refused", Outlook.OTHER),
        ("server closed the connection unexpectedly", Outlook.OTHER),
        ("FATAL:  Datenbanksystem startet", Outlook.OTHER),
    ],
)
def test_message_of_one_host_is_classified(message: str, outlook: Outlook) -> None:
    assert classify(SERVER + message) is outlook


def test_one_host_worth_waiting_for_is_enough() -> None:
    others = f'{SERVER}FATAL:  database "x" does not exist\n{SERVER}FATAL:  the database system is starting up'
    assert classify(others) is Outlook.WAIT


def test_sentence_has_the_error_of_each_host() -> None:
    hint = "\tIs the server running on that host and accepting TCP/IP connections?"
    message = f"""connection failed: connection to server at "b" failed: Connection refused
{hint}
Multiple connection attempts failed. All failures were:
- host: 'a', port: '1', hostaddr: '::1': connection failed: connection to server at "a" failed: FATAL:  no role "x"
- host: 'b', port: '2', hostaddr: '::2': connection failed: connection to server at "b" failed: Connection refused
{hint}"""
    assert sentence(psycopg.OperationalError(message)) == (
        'connection to server at "a" failed: FATAL:  no role "x"; '
        'connection to server at "b" failed: Connection refused'
    )
