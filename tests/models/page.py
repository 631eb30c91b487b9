"""docs/models.md, from the families, the cases that hold them to transformers, and what `stoa arch` counts.

python -m tests.models.page
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from engine.embedded.denoise.scheme import scheme_of
from engine.embedded.native.supports import supports
from models.describe import Description, cache_bytes, describe, flops, state_bytes
from models.diffusion.folder import PIPELINES
from models.families import ENCODER_DECODERS, ENCODERS, FAMILIES, IMAGE_ENCODERS, PAIRS, TEXT_DIFFUSION, arch_of
from models.families.diffusion import AUTOENCODERS, DENOISERS, TEXT_DENOISERS, UNETS
from models.families.diffusion.schedulers import SCHEDULERS
from models.families.diffusion.text_encoder import TEXT_ENCODERS
from models.families.multimodal import VISION_LANGUAGE, vision_language_family
from models.spec import S4, Arch, Attention, CrossVision, ImplicitFilter, Layer, LongConv, Mask, Strided, Window
from server.cli.arch.chart import chart
from server.cli.arch.text import compared
from tests.models.published import PUBLISHED
from tests.models.test_encoder_decoders import CASES as READERS
from tests.models.test_encoders import BODIES, CLASSIFIERS
from tests.models.test_parity import CASES
from tests.models.test_sight import PAIR_CASES, TOWERS
from tests.vllm.families import CANNOT

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
HEAD = """\
# Models

Which architectures are served, and which one is for what. This page is written by `python -m tests.models.page` from the families,
their tests and `stoa arch`; a test holds it to them. How a family, a part or a whole new mix is added:
[models/README.md](../models/README.md).

## What is served

A family's name in `config.json` decides. *Cases* counts the random checkpoints, each with other switches, whose float32 logits equal
those of `transformers` (RWKV-7: of its makers' `rwkv`) within 1e-4 on the reference, the backend that remembers nothing. Every
decoder then answers through the embedded engine what that holds for the best token, with pages, prompts in pieces, preemption,
prefix hits and company (`tests/engine/test_families.py`). *CPU* says whether the compiled kernels run all of it (4-bit,
8-bit and bf16 matrices, `--quantize`), or plain torch does, in bf16 or float32. On CUDA every family runs on plain torch in recorded
graphs; no GPU has run these tests yet. *GGUF*: whether files of llama.cpp's are read. *vLLM*: whether our classes run inside vLLM 0.32
on a CPU, with the same numbers in float32 (`tests/vllm/check_models.py`; what is not runs nowhere there, and says so).
"""
READING = """\
An encoder-decoder reads an input whole and then answers it. Inputs of several lengths are read and answered in one step, each once for
all who ask about it (`tests/engine/test_encoder_decoder.py`), on the compiled kernels where heads are multiples of sixteen, as all
published ones are, and otherwise on plain torch. How they are asked is in [the API's page](api.md#encoder-decoders).
"""
DENOISING = """\
The answers of these are denoised: a block of masked tokens is there at once, and each step accepts those that are surest, in any order
(`denoising` in [requests](api.md#models-that-denoise)). Where tokens see the whole text, every step computes all of it, at most
`canvas_length` masked tokens behind what is known; where blocks come one after the other (SDAR), finished ones are in pages, with the
prefix cache, and a step computes one block. The engine finds the tokens that a plain loop over the whole text finds
(`tests/engine/test_denoise.py`), on plain torch; logits equal those of `transformers`' class for the body under the same mask.
"""
SIGHT = """\
Encoders of images, alone or beside one of texts whose vectors lie in the same space (CLIP, SigLIP). Their rows, vectors and scores equal
those of `transformers` within 1e-4, for images of several sizes in one step where a family's positions can be stretched
(`tests/models/test_sight.py`). A pair is served as embedding model (`--embedding-model`): `/v1/embeddings` then takes texts and images
([api.md](api.md#images)). The others are not served yet.
"""
VISION_LANGUAGE_TEXT = """\
Models that read images among a prompt's tokens (`image_url`, `input_image`, ... in chats): a tower of the parts above, a connector, and
one of the decoders. Llama 3.2 Vision's decoder (`mllama`) has layers of its own that look at images, whose keys and values lie in pages of
their own, written once for the same images; it runs on plain torch. Logits equal those of `transformers` within 1e-4, for two images of
different sizes among text; on the engine, answers are those of a plain pass over the whole in chunks of any size, in company, with images
and prompts that were seen before (`tests/models/test_vision_language.py`, `tests/engine/test_vision.py`). Each image is read once, half a
layer after each step of the answers that are running. "Sees": whether an image's tokens see those before them alone, or all of the image,
or all of the prompt; or whether tokens look at tiles from layers of their own.
"""
PICTURES = """\
A folder of diffusers (`model_index.json`) makes pictures out of noise. Each part says what diffusers' says within 1e-4, every sampler
takes its steps, and whole tiny pipelines make its pictures (`tests/models/diffusion/`, `tests/engine/test_images.py`,
`tests/server/images/`), several at once, each at a step of its own, on plain torch, out of noise or out of another image
(`ImageRequest.start`). A checker of finished pictures (`safety_checker`) is not run. [images.md](images.md) says how they are served.
"""
SHOWN = ("Llama-3.2-1B-Instruct", "gemma-3-1b-it", "Mixtral-8x7B-v0.1", "gpt-oss-20b", "DeepSeek-V2-Lite", "mamba-130m-hf")

DRAWN = ("Llama-3.2-1B-Instruct", "Nemotron-3-Nano-30B-A3B", "mamba-130m-hf")


def page() -> str:
    parts = (
        _decoders(),
        _encoder_decoders(),
        _text_diffusion(),
        _encoders(),
        _sight(),
        _vision_language(),
        _pictures(),
        _choice(),
        _numbers(),
    )
    return "\n".join([HEAD, *chain.from_iterable(parts)]) + "\n"


def _decoders() -> Iterator[str]:
    cases = Counter(family for family, _ in CASES)
    yield from ("| decoder | architectures | cases | CPU | GGUF | vLLM |", "|---|---|---|---|---|---|")
    for module, architectures in _modules(FAMILIES).items():
        family = module.rpartition(".")[2]
        sheet = import_module(module)
        equal = str(cases[family]) if family != "stoa" else "written out, any mix"
        names, cpu = ", ".join(f"`{name}`" for name in architectures), "kernels" if supports(arch_of(sheet.TINY)) else "torch"
        gguf, vllm = ("yes" if there else "-" for there in (hasattr(sheet, "GGUF"), family not in CANNOT))
        yield f"| {family} | {names} | {equal} | {cpu} | {gguf} | {vllm} |"
    yield from ("", "What vLLM says of the others:", "")
    yield from (f"- {family}: `{words}`" for family, words in CANNOT.items())
    yield ""


def _encoder_decoders() -> Iterator[str]:
    cases = Counter(family for family, _ in READERS)
    yield from (READING, "| encoder-decoder | architectures | cases |", "|---|---|---|")
    for module, architectures in _modules(ENCODER_DECODERS).items():
        family = module.rpartition(".")[2]
        yield f"| {family} | {', '.join(f'`{name}`' for name in architectures)} | {cases[family]} |"
    yield ""


def _text_diffusion() -> Iterator[str]:
    yield from (DENOISING, "| text diffusion | architectures | blocks |", "|---|---|---|")
    for module, architectures in _modules(TEXT_DIFFUSION).items():
        scheme = scheme_of(arch_of(import_module(module).TINY))
        blocks = "of the whole text" if scheme is None or scheme.block is None else "one after the other"
        yield f"| {module.rpartition('.')[2]} | {', '.join(f'`{name}`' for name in architectures)} | {blocks} |"
    yield ""


def _encoders() -> Iterator[str]:
    cases = Counter(ENCODERS[values["architectures"][0]] for values in (*BODIES.values(), *CLASSIFIERS.values()))
    yield from ("| encoder | architectures | cases |", "|---|---|---|")
    for module, architectures in _modules(ENCODERS).items():
        equal = cases[module] or "written out, any mix"
        yield f"| {module.rpartition('.')[2]} | {', '.join(f'`{name}`' for name in architectures)} | {equal} |"
    yield ""


def _sight() -> Iterator[str]:
    cases = Counter(values["architectures"][0] for values in (*TOWERS.values(), *PAIR_CASES.values()))
    yield from (SIGHT, "| encoder of images | architectures | cases |", "|---|---|---|")
    for module, architectures in _modules(IMAGE_ENCODERS | PAIRS).items():
        names = ", ".join(f"`{name}`" for name in architectures)
        yield f"| {module.rpartition('.')[2]} | {names} | {sum(cases[name] for name in architectures)} |"
    yield ""


def _vision_language() -> Iterator[str]:
    yield from (VISION_LANGUAGE_TEXT, "| vision-language model | architecture | size of images | sees |", "|---|---|---|---|")
    for architecture, module in VISION_LANGUAGE.items():
        vision = arch_of(vision_language_family(architecture).TINY).vision
        assert vision is not None
        if isinstance(vision, CrossVision):
            size, sees = f"up to {vision.tower.tiles} tiles, read together", "from layers of their own"
        else:
            size, sees = "its own" if vision.any_size else "a tile's, lines of tiles ended" if vision.newline else "a tile's", vision.sees
        yield f"| {module.rpartition('.')[2]} | `{architecture}` | {size} | {sees} |"
    yield ""


def _pictures() -> Iterator[str]:
    yield from (PICTURES, "| part of a pipeline | classes of diffusers |", "|---|---|")
    for part, classes in (
        ("pipeline", PIPELINES),
        ("denoiser", dict.fromkeys((*DENOISERS, *UNETS, *TEXT_DENOISERS))),
        ("autoencoder", AUTOENCODERS),
        ("encoder of prompts", TEXT_ENCODERS),
        ("sampler", SCHEDULERS),
    ):
        yield f"| {part} | {', '.join(f'`{name}`' for name in classes)} |"
    yield ""


def _modules(table: Mapping[str, str]) -> dict[str, list[str]]:
    """Data sheets with the architectures that each is for."""
    found: dict[str, list[str]] = {}
    for architecture, module in table.items():
        found.setdefault(module, []).append(architecture)
    return dict(sorted(found.items(), key=lambda item: item[0].rpartition(".")[2]))


def _choice() -> Iterator[str]:
    yield from ("## Which one for what", "", "| architecture | for | price | in numbers |", "|---|---|---|---|")
    yield from (f"| {row.kind} | {row.use} | {row.price} | {row.numbers} |" for row in (*_dense(), *_sparse()))
    yield ""


class Choice(NamedTuple):
    kind: str
    use: str
    price: str
    numbers: str


def _dense() -> Iterator[Choice]:
    llama, gemma, minilm = _arch("Llama-3.2-1B-Instruct"), _arch("gemma-3-1b-it"), _arch("all-MiniLM-L6-v2")
    own, window = cache_bytes(llama, 1), cache_bytes(gemma, gemma.context)
    whole = cache_bytes(_masked(gemma, Window(size=gemma.context)), gemma.context)
    yield Choice(
        "dense, grouped heads (Llama, Qwen)",
        "the default: every tool knows it, and each parameter works for each token",
        "FLOPs and memory grow with its size",
        f"Llama 3.2 1B leaves {own:,} bytes a token behind, {_variant(llama, 'MHA') / own:.0f} times less than with keys for every head",
    )
    yield Choice(
        "windows between full layers (Gemma, gpt-oss, Cohere2)",
        "long chats on small memory",
        "what lies far back passes through few layers",
        f"Gemma 3 1B keeps {_mib(window)} of {gemma.context:,} tokens, {_mib(whole)} if every layer saw all",
    )
    bart = _arch("bart-base")
    yield Choice(
        "encoder-decoder (T5, BART, Marian, NLLB)",
        "translation and summaries with few parameters: the input is read once, in both directions",
        "one more attention in each layer; each turn of a chat is read anew",
        f"BART base leaves {cache_bytes(bart, 1):,} bytes for a token read and one written",
    )
    yield Choice(
        "encoder (BERT, ModernBERT)",
        "embeddings, rerankers, classifiers: a whole text in one step",
        "writes nothing",
        f"MiniLM-L6 has {describe(minilm).parameters / 1e6:.1f} M parameters and remembers nothing",
    )


def _sparse() -> Iterator[Choice]:
    llama, lite, mixtral = _arch("Llama-3.2-1B-Instruct"), _arch("DeepSeek-V2-Lite"), describe(_arch("Mixtral-8x7B-v0.1"))
    strided = _masked(llama, Strided(local=128, stride=128))
    less, more = (flops(arch, arch.context) / 1e9 for arch in (strided, llama))
    yield Choice(
        "mixture of experts (Mixtral, Qwen-MoE, gpt-oss, Llama 4)",
        "the quality of a large model at the speed of a small one",
        "the memory of the large one; company touches more experts",
        f"Mixtral 8x7B has {mixtral.parameters / 1e9:.1f} G parameters, {mixtral.active_parameters / 1e9:.1f} G for each token",
    )
    yield Choice(
        "latent attention (DeepSeek, MiniCPM3)",
        "very long contexts, many users",
        "more arithmetic for each key",
        f"DeepSeek-V2-Lite leaves {cache_bytes(lite, 1):,} bytes a token behind, {_variant(lite, 'MHA'):,} as keys and values",
    )
    qwen = _arch("Qwen3-Next-80B-A3B-Instruct")
    yield Choice(
        "linear attention with a delta rule (Qwen3-Next, Qwen3.5, Kimi Linear, OLMo Hybrid)",
        "long texts: the state corrects what it holds, and attention between the layers finds the rest",
        "prompts cost more arithmetic than Mamba's",
        f"Qwen3-Next leaves {cache_bytes(qwen, 1) - state_bytes(qwen):,} bytes a token behind, and keeps {state_bytes(qwen):,} of any text",
    )
    mamba = _arch("mamba-130m-hf")
    state, token = state_bytes(mamba), cache_bytes(llama, 1)
    yield Choice(
        "state space (Mamba, Mamba-2); attention between (LFM2, Jamba, Bamba, Granite 4, Nemotron-H, RecurrentGemma, Zamba2) or beside"
        " (Falcon-H1)",
        "texts of any length on small memory, at the same speed to the end",
        "what it has read must fit into the state: it recalls long quotations badly",
        f"Mamba 130M keeps {state:,} bytes of any text, Llama 3.2 1B so many of {state // token} tokens",
    )
    hyena, s4 = (_written(one) for one in (LongConv(channels=768, filter=ImplicitFilter(length=8192)), S4(channels=768, state=32)))
    yield Choice(
        "long convolutions and linear state spaces (`LongConv`, `S4`), written out",
        "research: Hyena's filters reach over the whole context, S4's states turn and fade whatever the token",
        "a long convolution reads what all tokens before left, as attention does",
        f"Hyena's layer of 768 leaves {cache_bytes(hyena, 2) - cache_bytes(hyena, 1):,} bytes a token behind, half of attention's; "
        f"S4's keeps {state_bytes(s4):,} of any text",
    )
    yield Choice(
        "sparse masks (strided, fixed, chunked)",
        "long inputs; research",
        "a token far away is seen through others or not at all; trained so from the start",
        f"Llama 3.2 1B with strides of 128: {less:.1f} G FLOPs at {llama.context:,} tokens, {more:.1f} G without",
    )


def _numbers() -> Iterator[str]:
    found = {name: (_config(name)["architectures"][0], _described(name)) for name in SHOWN}
    yield from ("`stoa arch` of some, with 16 bits for each number that is remembered:", "", "```", *compared(found), "```", "")
    yield from ("What is kept of a text, as `stoa arch` draws it for attention, a hybrid and states:", "")
    yield from ("```", *chart({name: _described(name) for name in DRAWN}), "```")


def _config(name: str) -> dict[str, Any]:
    return PUBLISHED[name].config


def _arch(name: str) -> Arch:
    return arch_of(_config(name))


def _described(name: str) -> Description:
    return describe(_arch(name))


def _variant(arch: Arch, name: str) -> int:
    return next(variant.bytes_per_token for variant in describe(arch).variants if variant.name == name)


def _written(mixer: LongConv | S4) -> Arch:
    return Arch(dim=768, vocab=50_280, layers=(Layer(mixer=mixer, ffn=None),), context=8192)


def _masked(arch: Arch, mask: Mask) -> Arch:
    def changed(layer: Layer) -> Layer:
        assert isinstance(layer.mixer, Attention)
        return replace(layer, mixer=replace(layer.mixer, mask=mask))

    return replace(arch, layers=tuple(map(changed, arch.layers)))


def _mib(count: int) -> str:
    return f"{count / 2**20:,.0f} MiB"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE}")
