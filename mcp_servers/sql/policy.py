"""Checks the tokens of statements for PostgreSQL and MariaDB, in addition to the rights of the account and the transaction mode. It
rejects what these let through: functions that reach files, programs, other servers, locks and settings, and statements that end the
transaction. A deny list cannot be complete: use an account that can only read the required tables.
"""

import re
from collections.abc import Iterator, Sequence

from mcp_servers.sql.api import SqlError
from mcp_servers.sql.lexer import Token

READS = ("select", "with", "values", "table")
CHANGES = ("insert", "update", "delete", "merge", "replace", "with", "truncate")
DEFINES = ("create", "alter", "drop", "comment")
OBJECTS = ("table", "index", "view", "sequence", "type", "domain", "column")  # no schema: CREATE SCHEMA may contain GRANT
BEFORE_OBJECTS = ("or", "replace", "unique", "materialized", "temp", "temporary", "unlogged", "recursive", "on", "fulltext", "spatial")

# Allowed. All other volatile functions of pg_catalog concern files, locks, settings, signals, large objects or replication.
HARMLESS = re.compile(
    r"random(_normal)?|setseed|gen_random_uuid|uuidv[47]|clock_timestamp|timeofday|array_(sample|shuffle)|system|bernoulli|currval|lastval"
    r"|pg_(relation|table|total_relation|indexes|database)_size|pg_is_in_recovery|pg_partition_(tree|ancestors)"
)
SEQUENCES = re.compile(r"nextval|setval")
# Rejected whatever their volatility: they run SQL passed as a string or reach beyond the database.
REACHING = re.compile(
    r"dblink\w*|crosstab\w*|connectby|xpath_table|(query|cursor|table|schema|database)_to_xml\w*|ts_stat|ts_rewrite|set_config"
    r"|lo_\w+|lowrite|loread|pg_(read|ls|stat_file|sleep|terminate|cancel|reload|rotate|advisory|try_advisory|notify|logical|file)\w*"
)
DEEPEST = 200  # maximum nesting of parentheses
SECRETS = re.compile(
    r"pg_authid|pg_shadow|pg_user_mappings?|pg_subscription|pg_hba_file_rules"
    r"|pg_largeobject|pg_file_settings|pg_foreign_server|pg_foreign_data_wrapper"
)
SETTINGS = re.compile(r"pg_settings")  # a view: UPDATE on it works like SET
MARIADB_REACHING = re.compile(
    r"load_file|sleep|benchmark|(get|release|is_free|is_used)_lock|release_all_locks|(master|source)_(pos|gtid)_wait|wait_for_executed\w*"
    r"|wait_until\w*|nextval|setval|sys_(exec|eval|get|set)\w*|lib_mysqludf\w*|xa|service_\w+_locks"
)
MARIADB_SECRETS = re.compile(r"global_priv|authentication_string|proxies_priv|servers|user_password_history|password_history|processlist")
MARIADB_READS_NOT = ("into", "outfile", "dumpfile", "procedure")
ENGINES = ("innodb",)  # allowed engines; they must be transactional


def reading(found: Sequence[Token]) -> None:
    """Raises SqlError if this is not a query."""
    first = next((token for token in found if token.text != "("), found[0])
    unexplained(found)
    if not first.is_word(*READS):
        raise SqlError(
            f"{first.text}: `query` runs SELECT, WITH ... SELECT, VALUES and TABLE; search_objects and describe_table know names"
        )
    depth = 0
    for token in found:
        depth += {"(": 1, ")": -1}.get(token.text, 0) if token.kind == "mark" else 0
        if not 0 <= depth <= DEEPEST:
            break
    if depth:
        raise SqlError(f"the parentheses are not balanced, or deeper than {DEEPEST}")


def unexplained(found: Sequence[Token]) -> None:
    if found[0].is_word("explain"):
        raise SqlError("EXPLAIN: the tool `explain` shows the plan of a query; give it the query without the word EXPLAIN")


def writing(found: Sequence[Token]) -> None:
    """Raises SqlError if this changes neither rows nor tables, indexes, views ..."""
    first, rest = found[0], found[1:]
    if first.is_word(*CHANGES):
        return
    if first.is_word(*DEFINES):
        subject = next((token for token in rest if not token.is_word(*BEFORE_OBJECTS)), first)
        if subject.is_word(*OBJECTS):
            return
        raise SqlError(f"{first.text} {subject.text}: `execute` creates, alters and drops only {', '.join(OBJECTS[:-1])}")
    raise SqlError(f"{first.text}: `execute` runs {', '.join((*CHANGES, *DEFINES)).upper()}; reading is done with `query`")


def postgres_reading(found: Sequence[Token]) -> None:
    """Raises SqlError if this is not a query, makes a table, or changes rows in a WITH."""
    reading(found)
    for token, after in _pairs(found):
        if (token.is_word("insert", "merge") and after.is_word("into")) or (token.is_word("delete") and after.is_word("from")):
            raise SqlError(f"{token.text.upper()}: `query` only reads; what changes rows is for `execute`")
        if after.is_word("into"):
            raise SqlError("INTO: `query` makes no tables; it gives its rows to you alone")


def postgres_writing(found: Sequence[Token]) -> None:
    """Raises SqlError. System catalogs need no check: only superusers may change them, and `execute` refuses superusers."""
    writing(found)
    _no(found, SETTINGS, "changes the settings of the session")


def postgres_calls(found: Sequence[Token]) -> list[str]:
    """Names of functions that the statement may call, to be looked up in pg_proc. Raises SqlError for known dangerous functions and
    for tables with secrets."""
    _no(found, SECRETS, "holds secrets of the server")
    names = sorted(set(_called(found)))
    for name in names:
        if REACHING.fullmatch(name):
            raise SqlError(f"{name}(): not allowed; it reaches files, other servers, settings or locks, or runs SQL of its own")
    return names


def postgres_attributes(found: Sequence[Token]) -> list[str]:
    """Names after a dot, as in `t.name`: if `t` has no such column, PostgreSQL calls the function name(t)."""
    behind = {after.name for token, after in _pairs(found) if token.text == "." and after.kind in ("word", "quoted")}
    return sorted(behind)


def mariadb_check(found: Sequence[Token]) -> None:
    """Raises SqlError for secrets, system tables, files and dangerous functions."""
    _no(found, MARIADB_SECRETS, "holds secrets of the server")
    for name in _called(found):
        if MARIADB_REACHING.fullmatch(name):
            raise SqlError(f"{name}(): not allowed; it reaches files, programs or locks, or only waits")
    for token, after in _pairs(found):
        if token.kind in ("word", "quoted") and token.name == "mysql" and after.text == ".":
            raise SqlError("mysql: the server's own tables are not read")
        if token.is_word("outfile", "dumpfile", "infile", "directory"):
            raise SqlError(f"{token.text}: files are not reached from here")


def mariadb_reading(found: Sequence[Token]) -> None:
    """Raises SqlError for statements that READ ONLY does not reject, and for non-queries."""
    reading(found)
    for token, after in _pairs(found):
        if token.is_word(*MARIADB_READS_NOT):
            raise SqlError(f"{token.text}: not allowed in `query`, which gives its rows to you alone")
        if (token.is_word("for") and after.is_word("update", "share")) or (token.is_word("lock") and after.is_word("in")):
            raise SqlError(f"{token.text} {after.text}: `query` takes no locks")
        if token.is_word("next", "previous") and after.is_word("value"):
            raise SqlError("NEXT VALUE: it would change the sequence")


def mariadb_writing(found: Sequence[Token]) -> None:
    writing(found)
    for place, token in enumerate(found):
        if token.is_word("engine"):
            named = next((after for after in found[place + 1 :] if after.text != "="), token)
            if named.name.strip("'\"") not in ENGINES:
                raise SqlError(f"ENGINE {named.text}: tables are of {', '.join(ENGINES)}: only those can be rolled back")


def _called(found: Sequence[Token]) -> Iterator[str]:
    """Names before `(`, and names after `).` or `].`: PostgreSQL may call a function there, too (`(x).length`)."""
    for place, (token, after) in enumerate(_pairs(found)):
        if token.kind in ("word", "quoted"):
            behind = "".join(before.text for before in found[max(0, place - 2) : place])
            if after.text == "(" or behind in (").", "]."):
                yield token.name


def _pairs(found: Sequence[Token]) -> Iterator[tuple[Token, Token]]:
    return zip(found, [*found[1:], Token("mark", "")], strict=True)


def _no(found: Sequence[Token], names: re.Pattern[str], why: str) -> None:
    for token in found:
        if token.kind in ("word", "quoted") and names.fullmatch(token.name):
            raise SqlError(f"{token.name}: not allowed; it {why}")
