"""Two letters and three: codes of ISO 639-1 with those of ISO 639-3 that models have for the same language. Where the two letters stand for
several languages (`ar`, `ms`), the three are of the one that NLLB and OPUS-MT mean."""

_PAIRS = """
af afr am amh ar arb ar ara as asm ay ayr az azj az aze ba bak be bel bg bul bm bam bn ben bo bod br bre bs bos ca cat cs ces cy cym da dan
de deu dz dzo ee ewe el ell en eng eo epo es spa et est eu eus fa pes fa fas ff fuv fi fin fj fij fo fao fr fra fy fry ga gle gd gla gl glg
gn grn gu guj ha hau he heb hi hin hr hrv ht hat hu hun hy hye id ind ig ibo is isl it ita ja jpn jv jav ka kat kg kon ki kik kk kaz km khm
kn kan ko kor ks kas ku kmr ky kir lb ltz lg lug li lim ln lin lo lao lt lit lv lvs lv lav mg plt mg mlg mi mri mk mkd ml mal mn khk mn mon
mr mar ms zsm ms msa mt mlt my mya nb nob ne npi ne nep nl nld nn nno no nob no nor ns nso ny nya oc oci om gaz or ory pa pan pl pol ps pbt
pt por qu quy rn run ro ron ru rus rw kin sa san sc srd sd snd sg sag si sin sk slk sl slv sm smo sn sna so som sq als sq sqi sr srp ss ssw
st sot su sun sv swe sw swh sw swa ta tam te tel tg tgk th tha ti tir tk tuk tl tgl tn tsn tr tur ts tso tt tat ug uig uk ukr ur urd uz uzn
vi vie wo wol xh xho yi ydd yo yor zh zho zh cmn zu zul
"""
_WORDS = _PAIRS.split()
PAIRS = tuple(zip(_WORDS[::2], _WORDS[1::2], strict=True))


def other_codes(code: str) -> tuple[str, ...]:
    """What a language is also called."""
    return (*(three for two, three in PAIRS if two == code), *(two for two, three in PAIRS if three == code))
