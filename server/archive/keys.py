"""Secrets of the server that outlast it and that all processes of one database share."""

import secrets

from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from retrieval.store.dialect import Transactions
from retrieval.store.schema import facts

SEALING_KEY_FACT = "sealing_key"
KEY_BYTES = 32


class KeyTable:
    """Implements api.Keys."""

    _transactions: Transactions

    def sealing_key(self) -> bytes:
        found = self._stored_key()
        if found is None:
            try:
                with self._transactions.writing() as tx:
                    tx.execute(insert(facts).values(name=SEALING_KEY_FACT, value=secrets.token_hex(KEY_BYTES)))
            except IntegrityError:  # another process was faster
                pass
            found = self._stored_key()
        assert found is not None
        return bytes.fromhex(found)

    def _stored_key(self) -> str | None:
        with self._transactions.reading() as tx:
            return tx.execute(select(facts.c.value).where(facts.c.name == SEALING_KEY_FACT)).scalar_one_or_none()
