"""Checks that a model matches the one that made a store's vectors."""

import shlex
from dataclasses import asdict

from sqlalchemy import RowMapping

from retrieval.api import ModelIdentity, WrongModel
from retrieval.store.rows import identity_record

MODELS = {  # by the column of stores that says which one it was: what it is called, and its setting
    "identity": ("embedding model", "STOA_EMBEDDING_MODEL"),
    "picture_identity": ("model of pictures", "STOA_IMAGE_EMBEDDING_MODEL"),
}
SETTINGS = {"query_prompt": "STOA_QUERY_PROMPT", "document_prompt": "STOA_DOCUMENT_PROMPT"}


def expect_identity(row: RowMapping, given: ModelIdentity, column: str = "identity") -> None:
    """`row`: of a store; an empty store accepts any model. `column`: a key of MODELS. Raises WrongModel."""
    known = identity_record(row[column])
    if known is None or known == given:
        return
    store = f"{row['name']!r} ({row['id']})" if row["name"] else repr(row["id"])
    there, here = _display_name(known), _display_name(given)
    what, setting = MODELS[column]
    model = f"the {what} {there!r}" + ("" if there == here else f", which is not the one here, {here!r}")
    raise WrongModel(f"the vector store {store} was made with {model} ({_differences(known, given)}); {_remedy(known, given, setting)}")


def _display_name(identity: ModelIdentity) -> str:
    return identity.called or identity.model


def _differences(known: ModelIdentity, given: ModelIdentity) -> str:
    here = asdict(given)
    unlike = [(name, value) for name, value in asdict(known).items() if value != here[name] and name != "called"]
    return ", ".join(f"{name.replace('_', ' ')} {value!r} there, {here[name]!r} here" for name, value in unlike)


def _remedy(known: ModelIdentity, given: ModelIdentity, setting: str) -> str:
    """Which settings restore the matching model, if any do."""
    wanted = {setting: _display_name(known)} if known.model != given.model else {}
    prompts = {name: getattr(known, name) for name in SETTINGS if getattr(known, name) != getattr(given, name)}
    wanted |= {SETTINGS[name]: prompt for name, prompt in prompts.items()}
    again = "read the documents into a new one: stoa ingest PATH... --store ANOTHER_NAME (over the API: add its files to one)"
    assignments = " ".join(f"{name}={shlex.quote(value)}" for name, value in wanted.items())
    return f"set {assignments}, or {again}" if wanted else again
