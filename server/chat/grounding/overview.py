"""Requests for an overview ("What is this document about?", "Summarize the files"): no passage answers them, the beginning of each
document does. A message is one if all of its words are from the lists below or function words, so that whatever it names besides is
looked up as any other question."""

import re
from collections.abc import Sequence
from itertools import zip_longest

from retrieval.analysis.function_words import FUNCTION_WORDS
from retrieval.api import Hit, Search
from retrieval.records import Member, PageRequest
from retrieval.search.filters import matches
from retrieval.store.api import Store

MAX_CHARACTERS = 200


def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


MAX_DOCUMENTS = 100  # looked at in each store
ASKS = _words(
    """
    summarize summarise summarized summarised summarizing summary summaries overview about gist outline abstract tldr topic topics
    subject describe contents content contain contains cover covers fasse zusammen zusammenfassen zusammenfassung überblick übersicht
    worum geht thema themen inhalt handelt handeln wovon beschreibe résume résumer résumez résumé aperçu parle traite traitent sujet
    sujets contenu synthèse resume resumir resumen trata tratan tema temas contenido riassumi riassunto riassumere sintesi argomento
    argomenti tratta trattano parla contenuto panoramica resuma resumo assunto conteúdo fala falam samenvatten samenvatting samen
    overzicht gaat gaan onderwerp inhoud резюме резюмируй кратко перескажи обзор содержание тема говорится обобщи изложи
    """
)
DOCUMENTS = _words(
    """
    document documents doc docs file files pdf pdfs text texts paper papers report reports article articles book books manual manuals
    attachment attachments upload uploads page pages notes slides presentation material materials knowledge base dokument dokuments
    dokumente dokumenten datei dateien texte textes bericht berichts berichte unterlagen anhang fichier fichiers rapport rapports
    documento documentos archivo archivos fichero ficheros texto textos informe documenti testo testi relazione arquivo arquivos
    ficheiro ficheiros relatório documenten bestand bestanden tekst teksten verslag документ документа документе документы документов
    документах файл файла файле файлы файлов файлах текст текста тексте отчёт отчет
    """
)
FILLERS = _words(
    """
    please give me us tell show write make list main key important points all uploaded attached provided my our s briefly brief short
    quick quickly general i need want like could mean say says deal deals bitte gib mir uns sag erzähl schreibe zeige kurz kurze kurzen
    wichtigsten punkte alle hochgeladenen fass mal donne moi fais stp plaît bref brève principaux points tous parlent consiste dame dime
    haz puedes podrías favor breve principales puntos todos hablan habla dammi fammi dimmi puoi favore principali punti tutti dê me faça
    pode favor principais pontos todos os geef mij maak vertel kort korte belangrijkste punten alle deze дай мне сделай расскажи
    пожалуйста краткое краткий основные чём мой этом diesem dieses dieser dein ihr euer sobre geht's
    """
).union(*FUNCTION_WORDS.values())
WHAT = _words(
    """
    what was que qué quoi che cosa wat что чём чем worum
    """
)
EAST_ASIAN = re.compile(
    "总结|總結|概述|概括|摘要|主要内容|讲什么|讲的是什么|关于什么|要約|まとめ|概要|何について|内容|요약|개요|무엇에 관한|내용"
)
EAST_ASIAN_DOCUMENT = re.compile("文档|文檔|文件|文章|报告|報告|文書|書類|ドキュメント|資料|ファイル|レポート|문서|파일|보고서")
MAX_EAST_ASIAN = 30  # characters
_WORD = re.compile(r"[^\W\d_]+")


def asks_for_overview(message: str, filenames: Sequence[str], *, first: bool) -> bool:
    """`filenames`: a message may name some of the documents. `first`: nothing has been asked before it that it may refer to."""
    if len(message) > MAX_CHARACTERS:
        return False
    if EAST_ASIAN.search(message):
        return bool(EAST_ASIAN_DOCUMENT.search(message)) and len(message) <= MAX_EAST_ASIAN
    text = message.casefold().replace("tl;dr", "tldr")
    named = [name for name in filenames if name.casefold() in text]
    for name in named:
        text = text.replace(name.casefold(), " ")
    words = set(_WORD.findall(text))
    asks = bool(words & ASKS) or (bool(words & WHAT) and bool(words & DOCUMENTS))
    return asks and words <= ASKS | DOCUMENTS | FILLERS and (first or bool(named) or bool(words & DOCUMENTS))


def overview_hits(store: Store, owner: str, search: Search, message: str, *, first: bool) -> tuple[Hit, ...]:
    """The beginnings of the documents in turn, or of those that the message names; () if it does not ask for an overview."""
    listing = PageRequest(limit=MAX_DOCUMENTS, order="asc")
    members = [member for id in search.stores for member in store.members(owner, id, listing, states=("ready",)).items]
    members = [member for member in members if search.filter is None or matches(search.filter, member.attributes)]
    if not asks_for_overview(message, [member.filename for member in members], first=first):
        return ()
    named = [member for member in members if member.filename.casefold() in message.casefold()]
    chosen = (named or members)[: search.limit]
    share = -(-search.limit // max(len(chosen), 1))
    beginnings = [_beginning(store, owner, member, share) for member in chosen]
    return tuple(hit for row in zip_longest(*beginnings) for hit in row if hit is not None)[: search.limit]


def _beginning(store: Store, owner: str, member: Member, chunks: int) -> list[Hit]:
    found = store.chunks_of(owner, member.store_id, member.file_id)[:chunks]
    return [Hit(chunk=chunk, attributes=member.attributes, score=1.0) for chunk in found]
