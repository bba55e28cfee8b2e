"""Find the statement that lets a role act as gaq_owner, and lets it inherit the rights of gaq_owner.

An installation needs both. The scripts create most objects after SET ROLE gaq_owner. The owner of the source tables
creates the triggers with inherited rights on schema gaq. An uninstallation needs inherited rights, and ``detach`` needs
SET ROLE.
"""

from dataclasses import dataclass

from psycopg import Connection
from psycopg.rows import TupleRow

from gaq_listen.db.missing_rights import OPTIONS_SINCE, inheriting

_OWNER = "gaq_owner"

# The privilege "set" exists since PostgreSQL 16. Before, each member of a role could act as the role.
_FACTS = """
select quote_ident(r.rolname), %(version)s::int, r.rolinherit, coalesce(pg_has_role(o.oid, 'member'), false),
       coalesce(pg_has_role(o.oid, %(set)s), false), coalesce(pg_has_role(o.oid, 'usage'), false),
       coalesce(pg_has_role(o.oid, 'member with admin option'), r.rolcreaterole)
       or r.rolcreaterole and %(version)s < %(options_since)s
from pg_catalog.pg_roles r
left join pg_catalog.pg_roles o on o.rolname = 'gaq_owner'
where r.rolname = current_user
"""


@dataclass(frozen=True, slots=True)
class OwnerMembership:
    """Hold what the current role may do as a member of gaq_owner."""

    role: str
    """The current role, as SQL writes it."""
    server_version: int
    inherits: bool
    """Whether the role has INHERIT."""
    is_member: bool
    """Whether the role is a member, even one that neither inherits nor may SET ROLE."""
    acts_as_owner: bool
    has_rights_of_owner: bool
    may_grant: bool
    """Whether the role may make itself a member of gaq_owner, or may create gaq_owner."""

    @property
    def suffices(self) -> bool:
        """Whether the role may act as gaq_owner, and inherits its rights."""
        return self.acts_as_owner and self.has_rights_of_owner

    @property
    def installation_grants(self) -> bool:
        """Whether an installation gives the role what it lacks. No installation alters the role that installs."""
        return self.may_grant and (self.inherits or self.server_version >= OPTIONS_SINCE)

    @property
    def lack(self) -> str:
        """What a member of gaq_owner lacks, as a part of a sentence."""
        return "may not SET ROLE gaq_owner" if self.has_rights_of_owner else "does not inherit the rights of gaq_owner"

    @property
    def fix(self) -> str:
        """The statements for what the role lacks. Empty if the role lacks nothing."""
        if self.suffices:
            return ""
        if (self.is_member or self.may_grant) and not self.inherits and self.server_version < OPTIONS_SINCE:
            return inheriting(_OWNER, self.role, self.server_version)
        return inheriting_grant(self.role, self.server_version, self.inherits)


def inheriting_grant(role: str, server_version: int, inherits: bool) -> str:
    """Return the statements that make a role a member of gaq_owner with all its rights.

    ``role`` is written as in SQL, and ``inherits`` says whether the role has INHERIT.

    >>> inheriting_grant("dba", 140000, False)
    'GRANT gaq_owner TO dba; ALTER ROLE dba INHERIT'
    >>> inheriting_grant("dba", 160000, False)
    'GRANT gaq_owner TO dba WITH INHERIT TRUE, SET TRUE'
    """
    fix = inheriting(_OWNER, role, server_version)
    if server_version >= OPTIONS_SINCE:
        return fix
    return f"GRANT gaq_owner TO {role}" + ("" if inherits else f"; {fix}")


def owner_membership(connection: Connection[TupleRow]) -> OwnerMembership:
    """Ask the server what the current role may do as a member of gaq_owner. The role gaq_owner need not exist."""
    version = connection.info.server_version
    values = {
        "version": version,
        "options_since": OPTIONS_SINCE,
        "set": "set" if version >= OPTIONS_SINCE else "member",
    }
    (row,) = connection.execute(_FACTS, values).fetchall()
    return OwnerMembership(*row)
