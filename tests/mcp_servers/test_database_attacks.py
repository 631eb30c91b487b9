"""Attacks on the database server, on each kind of database, with the outcome of each. README's table of them is made of this."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any, Literal

import pytest

from mcp_servers.sql.api import Limits
from tests.mcp_servers.databases import KINDS, SECRET, Shop, shops, text

# refused: an error. stopped: an error, when its time was over. cut: rows, but few or short. kept: rows, without any effect
Outcome = Literal["refused", "stopped", "cut", "kept"]
# Only what must be stopped meets its time limit; all else ends before, however slow the machine is.
SHORT = Limits(seconds=0.7, max_rows=50)
LONG = Limits(seconds=60, max_rows=50)
UNTIMED = Limits(seconds=3600, max_rows=50)  # for statements that are long, but have an end: no protection, no endless test
SLACK = 30  # seconds by which a call may outlast its time limit on a busy machine
HEAP = 640 * 2**20  # where SQLite's own limit of 512 MiB ends the growth
MEMORY = 256 * 2**20  # bytes by which an attack may grow this process
ENDLESS = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r"


DOUBLING = "WITH a0 AS (SELECT 1 AS x), " + ", ".join(
    f"a{n} AS NOT MATERIALIZED (SELECT p.x FROM a{n - 1} p, a{n - 1} q)" for n in range(1, 31)
)


@dataclass(frozen=True)
class Attack:
    name: str
    outcome: Outcome
    sqlite: str | None = None
    postgres: str | None = None
    mariadb: str | None = None
    tool: str = "query"
    parameters: dict[str, Any] = field(default_factory=dict)
    limits: Limits | None = None  # None: SHORT for what is stopped, LONG for all else
    memory: int = MEMORY

    @property
    def call_limits(self) -> Limits:
        return self.limits or (SHORT if self.outcome == "stopped" else LONG)


def everywhere(name: str, outcome: Outcome, sql: str, **more: Any) -> Attack:
    return Attack(name, outcome, sql, sql, sql, **more)


READ_ONLY = [
    everywhere("stacked statements", "refused", "SELECT 1; DELETE FROM orders"),
    everywhere("stacked behind a comment", "refused", "SELECT 1 /* ; */ ; -- x\nDROP TABLE orders"),
    everywhere("DELETE", "refused", "DELETE FROM orders"),
    everywhere("DELETE in parentheses", "refused", "(DELETE FROM orders)"),
    everywhere("INSERT ... RETURNING", "refused", "INSERT INTO users VALUES (9, 'x', NULL) RETURNING id"),
    Attack(
        "WITH ... INSERT",
        "refused",
        "WITH x AS (SELECT 9) INSERT INTO users SELECT 9, 'x', NULL FROM x",
        "WITH x AS (INSERT INTO users VALUES (9, 'x') RETURNING *) SELECT * FROM x",
        "WITH x AS (SELECT 9) INSERT INTO users SELECT 9, 'x', NULL FROM x",
    ),
    Attack("WITH ... DELETE", "refused", "WITH x AS (SELECT 1) DELETE FROM orders", "WITH x AS (SELECT 1) DELETE FROM orders RETURNING 1"),
    everywhere("CREATE TABLE", "refused", "CREATE TABLE z (a INTEGER)"),
    everywhere("DROP TABLE", "refused", "DROP TABLE orders"),
    everywhere("temporary table", "refused", "CREATE TEMPORARY TABLE z AS SELECT 1 AS a"),
    everywhere("COMMIT", "refused", "COMMIT"),
    everywhere("ROLLBACK", "refused", "ROLLBACK"),
    everywhere("EXPLAIN ANALYZE", "refused", "ANALYZE DELETE FROM orders", tool="explain"),
    everywhere("EXPLAIN (ANALYZE)", "refused", "(ANALYZE) DELETE FROM orders", tool="explain"),
    everywhere("EXPLAIN of a change", "refused", "DELETE FROM orders", tool="explain"),
    everywhere("a function that deletes", "refused", "SELECT wipe()"),
    Attack("SELECT INTO", "refused", None, "SELECT * INTO z FROM users", "SELECT id INTO @x FROM users LIMIT 1"),
    Attack("sequences", "refused", None, "SELECT nextval('numbers')", "SELECT NEXT VALUE FOR numbers"),
    Attack("sequences, otherwise", "refused", None, "SELECT setval('numbers', 7)", "SELECT NEXTVAL(numbers)"),
    everywhere("value that looks like SQL", "kept", "SELECT :v AS v", parameters={"v": "'; DELETE FROM orders; --"}),
    everywhere("value with escapes", "kept", "SELECT :v AS v", parameters={"v": "\\'; DELETE FROM orders; -- %s %(x)s $1"}),
]
SETTINGS = [
    Attack("PRAGMA query_only=0", "refused", "PRAGMA query_only=0"),
    Attack("PRAGMA writable_schema", "refused", "PRAGMA writable_schema=1"),
    Attack("PRAGMA journal_mode", "refused", "PRAGMA journal_mode=DELETE"),
    Attack("SET TRANSACTION", "refused", None, "SET TRANSACTION READ WRITE", "SET SESSION TRANSACTION READ WRITE"),
    Attack("SET", "refused", None, "SET statement_timeout = 0", "SET SESSION max_statement_time = 0"),
    Attack("SET STATEMENT ... FOR", "refused", None, None, "SET STATEMENT max_statement_time = 0 FOR SELECT 1"),
    Attack("set_config", "refused", None, "SELECT set_config('transaction_read_only', 'off', true)"),
    Attack("RESET ROLE", "refused", None, "RESET ROLE", "SET ROLE NONE"),
    Attack("SET SESSION AUTHORIZATION", "refused", None, "SET SESSION AUTHORIZATION DEFAULT"),
    Attack("role by set_config", "refused", None, "SELECT set_config('role', 'none', true), pg_read_file('{secret}')"),
    Attack("set_config, quoted", "refused", None, "SELECT \"set_config\"('role', 'none', true)"),
    Attack("set_config, with its schema", "refused", None, "SELECT pg_catalog . /**/ set_config /**/ ('role', 'none', true)"),
    Attack("set_config, in Unicode escapes", "refused", None, "SELECT U&\"set\\005fconfig\"('role', 'none', true)"),
    Attack("set_config behind a string of two lines", "refused", None, "SELECT E'a'\n'\\'', set_config('role', 'none', true), '"),
    Attack("set_config behind a dollar quote", "refused", None, "SELECT 1$a$, set_config('role', 'none', true), $a$"),
    Attack("SQL hidden in a string", "refused", None, "SELECT query_to_xml('SELECT set_config(''role'', ''none'', true)', true, true, '')"),
    Attack("SQL hidden in ts_stat", "refused", None, "SELECT * FROM ts_stat('SELECT set_config(''role'', ''none'', true)::tsvector')"),
    Attack("ALTER SYSTEM", "refused", None, "ALTER SYSTEM SET port = 1", "SET GLOBAL general_log = 1"),
    Attack("executable comment", "refused", None, None, "SELECT 1 /*! INTO OUTFILE '{out}' */"),
    Attack("executable comment of MariaDB", "refused", None, None, "SELECT 1 /*M!100000 INTO OUTFILE '{out}' */"),
]
FILES = [
    Attack("ATTACH a new file", "refused", "ATTACH '{out}' AS n"),
    Attack("VACUUM INTO", "refused", "VACUUM INTO '{out}'"),
    Attack("load_extension", "refused", "SELECT load_extension('{secret}')"),
    Attack("fts3_tokenizer", "refused", "SELECT fts3_tokenizer('x', x'00')"),
    Attack("virtual table", "refused", "CREATE VIRTUAL TABLE z USING fts5(a)"),
    Attack("readfile", "refused", "SELECT readfile('{secret}')", "SELECT pg_read_file('{secret}')", "SELECT LOAD_FILE('{secret}')"),
    Attack("file, read as an attribute", "refused", None, "SELECT ('{secret}'::text).pg_read_file", "SELECT `load_file`('{secret}')"),
    Attack("file, with a comment between", "refused", None, "SELECT pg_read_file/**/('{secret}')", "SELECT load_file /* */ ('{secret}')"),
    Attack(
        "file, inside of a subquery", "refused", None, "SELECT * FROM pg_read_file('{secret}')", "SELECT (SELECT LOAD_FILE('{secret}'))"
    ),
    Attack("file, in binary", "refused", None, "SELECT pg_read_binary_file('{secret}')", "SELECT HEX(LOAD_FILE('{secret}'))"),
    Attack("listing a folder", "refused", None, "SELECT pg_ls_dir('/')"),
    Attack("COPY TO PROGRAM", "refused", None, "COPY users TO PROGRAM 'touch {out}'", "LOAD DATA LOCAL INFILE '{secret}' INTO TABLE users"),
    Attack("COPY to a file", "refused", None, "COPY users TO '{out}'", "SELECT * FROM users INTO OUTFILE '{out}'"),
    Attack("INTO DUMPFILE", "refused", None, "COPY (SELECT 1) TO STDOUT", "SELECT 1 INTO DUMPFILE '{out}'"),
    Attack("OUTFILE in a UNION", "refused", None, None, "SELECT 1 UNION SELECT 2 INTO OUTFILE '{out}'"),
    Attack("OUTFILE behind two signs", "refused", None, None, "SELECT 1 --1 INTO OUTFILE '{out}'"),
    Attack("OUTFILE behind a backslash", "refused", None, None, "SELECT '\\'' INTO OUTFILE '{out}' -- '"),
    Attack("lo_import", "refused", None, "SELECT lo_import('{secret}')"),
    Attack("lo_export", "refused", None, "SELECT lo_export(1, '{out}')"),
    Attack("lo_from_bytea", "refused", None, "SELECT lo_from_bytea(0, 'x')"),
    Attack("DO block", "refused", None, "DO $$ BEGIN DELETE FROM orders; END $$", "BEGIN NOT ATOMIC DELETE FROM orders; END"),
    Attack("EXECUTE IMMEDIATE", "refused", None, "EXECUTE x", "EXECUTE IMMEDIATE 'DELETE FROM orders'"),
    Attack("dblink", "refused", None, "SELECT * FROM dblink('host=127.0.0.1', 'DELETE FROM orders') AS x(a int)"),
    Attack("program by a loaded function", "refused", None, "CREATE EXTENSION plpython3u", "SELECT sys_exec('touch {out}')"),
    Attack("passwords of the server", "refused", None, "SELECT rolpassword FROM pg_authid", "SELECT * FROM mysql.global_priv"),
    Attack("passwords, quoted", "refused", None, 'SELECT * FROM "pg_catalog"."pg_shadow"', "SELECT * FROM `mysql`.`user`"),
]
LOCKS = [
    Attack("function as an attribute of a table", "refused", None, "SELECT users.danger FROM users"),
    Attack("function as an attribute, quoted", "refused", None, 'SELECT u . "Risky" FROM users u'),
    Attack("function of capitals", "refused", None, 'SELECT "Risky"(u) FROM users u'),
    Attack("file as an attribute of a value", "refused", None, "SELECT x.pg_read_file FROM unnest(ARRAY['{secret}']) AS x"),
    Attack("locks", "refused", None, "SELECT pg_advisory_lock(1)", "SELECT GET_LOCK('a', 1)"),
    Attack("row locks", "refused", None, "SELECT * FROM users FOR UPDATE", "SELECT * FROM users FOR UPDATE"),
    Attack("row locks, shared", "refused", None, "SELECT * FROM users FOR SHARE", "SELECT * FROM users LOCK IN SHARE MODE"),
    Attack("sleep", "refused", None, "SELECT pg_sleep(60)", "SELECT SLEEP(60)"),
    Attack(
        "sleep in a list", "refused", None, "SELECT * FROM users WHERE pg_sleep(9) IS NULL", "SELECT BENCHMARK(1000000000, SHA2('a', 512))"
    ),
    Attack("LOCK TABLE", "refused", None, "LOCK TABLE users", "LOCK TABLES users WRITE"),
    Attack("NOTIFY", "refused", None, "SELECT pg_notify('a', 'b')", "HANDLER users OPEN"),
    Attack("ending others", "refused", None, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity", "KILL 1"),
    Attack("SHUTDOWN", "refused", None, "SELECT pg_reload_conf()", "SHUTDOWN"),
]
SIZE = [
    Attack("infinite recursion", "stopped", ENDLESS, ENDLESS),
    Attack("infinite recursion, with its server's limit", "cut", None, None, ENDLESS),
    Attack(
        "endless join",
        "stopped",
        "SELECT count(*) FROM " + ", ".join(f"users AS u{place}" for place in range(22)),
        "SELECT count(*) FROM generate_series(1, 1000000) AS a, generate_series(1, 1000000) AS b",
        "SELECT COUNT(a.seq * b.seq) FROM seq_1_to_1000000 AS a, seq_1_to_1000000 AS b",
    ),
    Attack("memory: a value", "refused", "SELECT zeroblob(1000000000)", "SELECT repeat('x', 2000000000)"),
    Attack("memory: a value of printf", "stopped", "SELECT printf('%.*c', 2000000000, 'x')"),
    Attack("one endless step", "stopped", "SELECT trim(hex(zeroblob(20000)), replace(hex(randomblob(35000)), '0', '1') || '0')"),
    Attack(
        "memory: a long value",
        "cut",
        "SELECT hex(zeroblob(400000))",
        "SELECT repeat('x', 20000000)",
        "SELECT REPEAT('x', 15000000)",
    ),
    Attack("memory: a row", "cut", None, "SELECT " + ", ".join(["repeat('x', 100000)"] * 100)),
    Attack("memory: a row, too large to read", "refused", None, None, "SELECT " + ", ".join(["REPEAT('x', 5000000)"] * 5)),
    Attack(
        "memory: an aggregate",
        "refused",
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r LIMIT 5000) SELECT group_concat(hex(zeroblob(1000))) FROM r",
    ),
    Attack(
        "many rows",
        "cut",
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT n FROM r",
        "SELECT generate_series(1, 1000000000000)",
        "SELECT seq FROM seq_1_to_1000000000000",
    ),
    everywhere("many columns", "refused", "SELECT " + ", ".join(["1"] * 1000)),
    Attack("memory: a row of long values", "kept", "SELECT " + ", ".join(["printf('%.*c', 999990, 'x')"] * 200), limits=UNTIMED),
    Attack(
        "memory: a row of wide characters",
        "cut",
        "SELECT " + ", ".join(["char(128512) || printf('%.*c', 999980, 'x')"] * 33),
        limits=UNTIMED,
        memory=100 * 2**20,
    ),
    Attack(
        "disk: a sort of 1.8 GB",
        "refused",
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r LIMIT 2000) SELECT n, zeroblob(900000) FROM r ORDER BY random()",
        limits=UNTIMED,
        memory=HEAP,
    ),
    Attack(
        "disk: a UNION of 1.8 GB",
        "refused",
        "WITH RECURSIVE r(n, b) AS (SELECT 1, zeroblob(900000) UNION SELECT n + 1, b FROM r LIMIT 2000) SELECT count(*) FROM r",
        limits=UNTIMED,
        memory=HEAP,
    ),
    everywhere("a number of many digits", "refused", f"SELECT {'1' * 49_000}x y z"),
    everywhere("a long statement", "refused", f"SELECT '{'x' * 60_000}'"),
    everywhere("deep nesting", "refused", f"SELECT {'(' * 20_000}1{')' * 20_000}"),
    everywhere("open parentheses", "refused", "SELECT 1) AS x; SELECT (2"),
    everywhere("more parentheses closed", "refused", "SELECT 1) AS x, (SELECT 2"),
    everywhere("NUL", "refused", "SELECT 1\0; DELETE FROM orders"),
    everywhere("quote that stays open", "refused", "SELECT 'x; DELETE FROM orders"),
    everywhere("half a character", "refused", "SELECT '\ud800'"),
]
# What `execute` may not do although it writes.
WRITES = [
    everywhere("execute: stacked", "refused", "DELETE FROM orders WHERE id < 0; DROP TABLE orders", tool="execute"),
    Attack("execute: ATTACH", "refused", "ATTACH '{out}' AS n", "CREATE EXTENSION dblink", "INSTALL SONAME 'x'", tool="execute"),
    Attack(
        "execute: other files", "refused", "VACUUM INTO '{out}'", "COPY orders TO '{out}'", "SELECT 1 INTO OUTFILE '{out}'", tool="execute"
    ),
    Attack(
        "execute: a file into a table",
        "refused",
        "INSERT INTO users VALUES (9, readfile('{secret}'), NULL)",
        "INSERT INTO users VALUES (9, pg_read_file('{secret}'), NULL)",
        "INSERT INTO users VALUES (9, LOAD_FILE('{secret}'), NULL)",
        tool="execute",
    ),
    Attack(
        "execute: settings",
        "refused",
        "PRAGMA writable_schema=1",
        "ALTER SYSTEM SET port = 1",
        "SET GLOBAL general_log = 1",
        tool="execute",
    ),
    Attack("execute: accounts", "refused", None, "CREATE ROLE eve SUPERUSER", "CREATE USER eve", tool="execute"),
    Attack("execute: rights", "refused", None, "GRANT ALL ON users TO public", "GRANT ALL ON *.* TO reader", tool="execute"),
    Attack(
        "execute: functions",
        "refused",
        None,
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE FUNCTION f() RETURNS int RETURN 1",
        tool="execute",
    ),
    Attack(
        "execute: rights behind a schema",
        "refused",
        None,
        "CREATE SCHEMA z CREATE TABLE q (a int) GRANT ALL ON q TO PUBLIC",
        "DROP SCHEMA test",
        tool="execute",
    ),
    Attack(
        "execute: a function of the server's redefined",
        "refused",
        None,
        "UPDATE pg_proc SET prosrc = 'begin copy (select 1) to program ''touch {out}''; return 1; end', prosqlbody = NULL, "
        "provolatile = 'v', prolang = (SELECT oid FROM pg_language WHERE lanname = 'plpgsql') WHERE proname = '_pg_datetime_precision'",
        tool="execute",
    ),
    Attack(
        "execute: a function of the server's renamed",
        "refused",
        None,
        "UPDATE pg_catalog.pg_proc SET proname = 'zz', provolatile = 's' WHERE proname = 'pg_read_file'",
        tool="execute",
    ),
    Attack("execute: rights, as rows", "refused", None, "UPDATE pg_database SET datallowconn = false WHERE false", tool="execute"),
    Attack(
        "execute: settings, as rows",
        "refused",
        None,
        "UPDATE pg_settings SET setting = '0' WHERE name = 'statement_timeout'",
        tool="execute",
    ),
    Attack("execute: end of the transaction", "refused", "COMMIT", "COMMIT", "COMMIT", tool="execute"),
    Attack("execute: another place for a table", "refused", None, None, "CREATE TABLE z (a INT) DATA DIRECTORY = '{out}'", tool="execute"),
    Attack("execute: a table that is a file", "refused", None, None, "CREATE TABLE z (a INT) ENGINE = CONNECT", tool="execute"),
    Attack("execute: a table without transactions", "refused", None, None, "CREATE TABLE z (a INT) ENGINE = MyISAM", tool="execute"),
]
# Nothing interrupts SQLite's planner. Nobody waits for it, but it fills the heap up to its limit, so this comes last; and its time is
# over long before a fast processor gets that far.
PLANNED = Attack(
    "EXPLAIN of what only planning takes for ever",
    "stopped",
    f"{DOUBLING} SELECT * FROM a30",
    tool="explain",
    limits=Limits(seconds=0.25),
    memory=HEAP,
)
ATTACKS = [*READ_ONLY, *SETTINGS, *FILES, *LOCKS, *SIZE, *WRITES, PLANNED]


def families(attack: Attack) -> list[str]:
    return [kind for kind in KINDS if getattr(attack, kind.partition("-")[0]) is not None]


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Shop]]:
    folder = tmp_path_factory.mktemp("shop")
    (folder / "secret").write_text(SECRET)
    with shops(folder) as found:
        yield found


GROW = """
import time
from tests.mcp_servers.test_database_attacks import _growth
bytearray(b"x" * 100 * 2**20)
with _growth() as sizes:
    held, end = b"x" * 50 * 2**20, time.monotonic() + 60
    while max(sizes) - sizes[0] < 40 * 2**20 and time.monotonic() < end:
        time.sleep(0.005)
print(max(sizes) - sizes[0])
"""


def test_growth_is_seen_below_an_earlier_peak() -> None:
    """In a process of its own: in this one the allocator may hold memory that earlier tests have freed."""
    grown = subprocess.run([sys.executable, "-c", GROW], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    assert 40 * 2**20 < int(grown.stdout) < 90 * 2**20


def test_values_come_back_as_they_were(known: dict[str, Shop]) -> None:
    values = ["'; DROP TABLE users; --", "\\", "\\' OR 1=1 -- ", "ä\U0001f600\x01%s", "", 'a"b`c', 7, -2.5, None, True]
    names = [f"v{place}" for place in range(len(values))]
    for shop in known.values():
        sql = "SELECT " + ", ".join(f":{name} AS {name}, :{name} AS again_{name}" for name in names)
        result = shop.call("query", sql=sql, parameters=dict(zip(names, values, strict=True)))
        assert result.structured_content is not None, text(result)
        (row,) = result.structured_content["rows"]
        assert row[::2] == row[1::2]
        assert [str(value) for value in row[::2][:6]] == values[:6] and row[12] in (7, "7") and float(row[14]) == -2.5 and row[16] is None


def test_every_attack_of_the_issue_is_here() -> None:
    names = " ".join(attack.name for attack in ATTACKS)
    for name in ("stacked", "WITH ... INSERT", "ATTACH", "VACUUM INTO", "query_only", "load_extension", "PROGRAM", "recursion", "memory"):
        assert name in names
    assert any("pg_read_file" in (attack.postgres or "") for attack in ATTACKS)


@pytest.mark.parametrize(("attack", "kind"), [pytest.param(a, kind, id=f"{a.name}-{kind}") for a in ATTACKS for kind in families(a)])
def test_attack(attack: Attack, kind: str, known: dict[str, Shop]) -> None:
    shop, limits = known[kind], attack.call_limits
    before, began = shop.state(), time.monotonic()
    sql = getattr(attack, shop.family).replace("{secret}", str(shop.files / "secret")).replace("{out}", str(shop.files / "out"))
    more = {"dry_run": True} if attack.tool == "execute" else {}
    with _growth() as sizes:
        result = shop.call(attack.tool, limits, write=attack.tool == "execute", sql=sql, parameters=attack.parameters, **more)
    said = text(result)
    assert _outcome(said, bool(result.is_error)) == attack.outcome, said[:500]
    assert SECRET not in said and "SCRAM" not in said
    assert shop.state() == before
    assert time.monotonic() - began < limits.seconds + SLACK and max(sizes) - sizes[0] < attack.memory


def _outcome(said: str, failed: bool) -> Outcome:
    if failed:
        assert "raised" not in said and not said.endswith(("query", "execute", "explain")), "a crash is no refusal"
        return "stopped" if "stopped after" in said else "refused"
    return "cut" if '"truncated":true' in said or ("cut to" in said or "incomplete" in said) else "kept"


def _size() -> int:
    """Bytes of memory that this process has now (proc(5), statm)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def _growth() -> Iterator[list[int]]:
    """Sizes of this process, from the first on: a peak of getrusage would hide whatever is smaller than an earlier one."""
    sizes, done = [_size()], Event()

    def watch() -> None:
        while not done.wait(0.005):
            sizes.append(_size())

    watcher = Thread(target=watch)
    watcher.start()
    try:
        yield sizes
    finally:
        done.set()
        watcher.join()
        sizes.append(_size())
