"""Headers and footers of printed pages."""

import re

_BESIDE_NUMBERS = (
    "page pages p pg seite seiten s blatt von página páginas pág de del di da do du sur of out part pagina pagine pag folio sida sidor av "
    "side sider af sivu strona stron z strana stránka stran oldal lap стр страница страниц из σελίδα από sayfa 頁 页 共 第 ページ 쪽"
)
_WORDS = frozenset(_BESIDE_NUMBERS.split())  # what stands beside the number of a page


def is_page_number(text: str) -> bool:
    """Whether a header or footer that holds fields of page numbers, which are left out, says nothing else."""
    return all(word in _WORDS for word in re.findall(r"\w+", text.casefold()))
