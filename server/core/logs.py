"""Logging to standard error: plain lines, or one JSON object per line."""

import json
import logging
import sys
from datetime import UTC, datetime

from server.core.log_limit import RateLimit

ACCESS = logging.getLogger("stoa.access")
PROBES = frozenset({"/health", "/ready", "/ping", "/metrics"})
FIELDS = "fields"  # attribute of a log record that holds what JSON logs show besides the message


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, object] = {"time": when, "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage()}
        line |= record.__dict__.get(FIELDS, {})
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure(*, as_json: bool, level: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if as_json else logging.Formatter("%(asctime)s %(levelname)-7s %(message)s"))
    handler.addFilter(RateLimit(tracebacks=level.upper() == "DEBUG"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("mcp.client.stdio").setLevel(logging.CRITICAL)  # what it logs we count: server/mcp/transport/server_guard.py
    for chatty in ("httpx", "httpx2", "mcp", "client", "faiss.loader"):  # at lower levels some show URLs and sessions, which may be secrets
        logging.getLogger(chatty).setLevel(logging.WARNING)


def access(request_id: str, method: str, path: str, status: int, seconds: float) -> None:
    """One line per request; those of probes and scrapers only when debugging."""
    fields = {"request_id": request_id, "method": method, "path": path, "status": status, "seconds": round(seconds, 4)}
    ACCESS.log(
        logging.DEBUG if path in PROBES else logging.INFO,
        "%s %s %d %.3fs %s",
        method,
        path,
        status,
        seconds,
        request_id,
        extra={FIELDS: fields},
    )
